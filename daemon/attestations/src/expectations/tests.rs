use super::*;
use crate::package_name;

fn proved() -> Claims {
    Claims {
        issuer: Some(GITHUB.into()),
        identity: Some("https://github.com/o/r/.github/workflows/release.yml@refs/tags/v1".into()),
        repository: Some("https://github.com/o/r".into()),
        git_ref: Some("refs/tags/v1".into()),
        commit: Some("abc".into()),
        workflow: Some(".github/workflows/release.yml".into()),
        builder: Some("https://github.com/o/r/.github/workflows/release.yml@refs/tags/v1".into()),
        runner: Some("github-hosted".into()),
        ..Claims::default()
    }
}

fn differences(lines: &str) -> Vec<&'static str> {
    let text = format!("[[package]]\nname = \"npm:x\"\n{lines}");
    let spec = Spec::parse(&text).unwrap();
    let signer = spec.rules[0].signer.as_ref().unwrap();
    signer.differences(&proved()).into_iter().map(|(what, ..)| what).collect()
}

#[test]
fn only_the_expected_signer_makes_no_difference() {
    let base = "repository = \"https://github.com/o/r.git/\"\n";
    for fits in [
        "",
        "ref = \"refs/tags/v*\"",
        "ref = \"refs/tags/v1\"",
        "workflow = \"release.yml\"",
        "workflow = \".github/workflows/release.yml\"",
        "builder = \"https://github.com/actions/runner/github-hosted\"",
        "builder = \"https://github.com/o/r/.github/workflows/release.yml\"",
        "issuer = \"https://token.actions.githubusercontent.com\"",
    ] {
        assert_eq!(differences(&format!("{base}{fits}")), [""; 0], "{fits}");
    }
    for (other, what) in [
        ("ref = \"refs/heads/*\"", "ref"),
        ("ref = \"refs/tags/v\"", "ref"),
        ("ref = \"refs/tags/v*2\"", "ref"),
        ("workflow = \"elease.yml\"", "workflow"),
        ("workflow = \"ci.yml\"", "workflow"),
        ("builder = \"https://github.com/actions/runner/self-hosted\"", "builder"),
        ("builder = \"https://github.com/o/r/.github/workflows/release\"", "builder"),
        ("issuer = \"https://gitlab.com\"", "issuer"),
        ("environment = \"production\"", "environment"),
        ("identity = \"mallory@example.org\"", "identity"),
    ] {
        assert_eq!(differences(&format!("{base}{other}")), [what], "{other}");
    }
    assert_eq!(differences("repository = \"https://github.com/o/R\""), ["repository"]);
    let none = "identity = \"https://dotcom.releases.github.com\"\nissuer = \"none\"";
    assert_eq!(differences(none), ["issuer", "identity"]);
    let gitlab = differences("repository = \"https://gitlab.com/o/r\"");
    assert_eq!(gitlab, ["issuer", "repository"], "the host's issuer is expected unasked");
}

#[test]
fn the_first_rule_that_matches_counts() {
    let text = "minimum = \"detected\"\n\
        [[package]]\nname = \"npm:@sigstore/*\"\nminimum = \"absent\"\n\
        [[package]]\nname = \"npm:*\"\nkinds = [\"provenance\", \"publish\"]\n\
        [[package]]\nname = \"file:*.whl\"\nminimum = \"detected\"\n\
        [[package]]\nname = \"pypi:never\"";
    let spec = Spec::parse(text).unwrap();
    let mut scoped = package_name::of_file("bundle-1.0.0.tgz");
    scoped.name = "@sigstore/bundle".into();
    let packages = [
        scoped,
        package_name::of_file("a-1.0.0.tgz"),
        package_name::of_file("b-1.0-py3-none-any.whl"),
    ];
    let rules = packages.each_ref().map(|package| spec.rule(package).unwrap());
    assert_eq!(rules.map(|rule| rule.minimum), [Level::Absent, Level::Verified, Level::Detected]);
    assert_eq!(rules[1].kinds.len(), 2);
    assert!(spec.rule(&package_name::of_file("c-1.0.tar.gz")).is_none());
    assert_eq!(spec.minimum, Some(Level::Detected));
    assert_eq!(spec.idle(&packages), ["pypi:never"]);
}

#[test]
fn a_spec_that_says_too_little_or_something_unknown_is_refused() {
    let rule = |lines: &str| format!("[[package]]\nname = \"npm:x\"\n{lines}");
    for bad in [
        "mode = \"lax\"".to_owned(),
        "minimum = \"mismatch\"".into(),
        "unknown = 1".into(),
        "[[package]]\nminimum = \"verified\"".into(),
        "[[package]]\nname = \"lodash\"".into(),
        "[[package]]\nname = \"npm:{a\"".into(),
        rule("kinds = [\"slsa\"]"),
        rule("workflow = \"release.yml\""),
        rule("issuer = \"https://gitlab.com\""),
        rule("repository = \"o/r\""),
        rule("repository = \"https://git.example.org/o/r\""),
        rule("identity = \"a@example.org\""),
        rule("repository = \"https://github.com/o/r\"\nref = \"main\""),
        rule("repostory = \"https://github.com/o/r\""),
    ] {
        assert!(Spec::parse(&bad).is_err(), "{bad}");
    }
    assert!(Spec::parse("").is_ok());
    assert!(
        Spec::parse(&rule("identity = \"a@b.c\"\nissuer = \"https://accounts.google.com\""))
            .is_ok()
    );
}

proptest::proptest! {
    #[test]
    fn a_pattern_matches_what_it_was_made_of(a in "[a-z/*]{0,8}", b in "[a-z/]{0,8}", c in "[a-z]{0,4}") {
        let plain = a.replace('*', "");
        let (pattern, text) = (format!("{plain}*{c}"), format!("{plain}{b}{c}"));
        proptest::prop_assert!(matches(&pattern, &text));
        proptest::prop_assert!(matches(&a, &a.replace('*', &b)));
        proptest::prop_assert_eq!(matches(&plain, &b), plain == b);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = Spec::parse(&text);
    }
}
