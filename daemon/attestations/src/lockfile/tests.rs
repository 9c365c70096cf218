use proptest::prelude::*;

use super::*;
use crate::{Digests, Package};

const SHA512: &str = "sha512-H0D8ktokFpR1CXnubPWC8tXX0o4YM13gWrxU0FYOD1MChgxlK/CNVgJSql50IQVG82n7u86MEs/HlXsmUv6adQ==";
const SHA256: &str = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

fn shown(lock: &Lock) -> Vec<String> {
    let of = |package: &Package| format!("{package} {}", package.files.len());
    lock.packages.iter().map(of).collect()
}

#[test]
fn npms_lock_file_pins_what_has_an_integrity() {
    let text = format!(
        r#"{{"name":"app","lockfileVersion":3,"requires":true,"packages":{{
        "":{{"name":"app","version":"1.0.0"}},
        "node_modules/@sigstore/bundle":{{"version":"4.0.0","integrity":"{SHA512}","resolved":"https://r/x.tgz"}},
        "node_modules/a/node_modules/@sigstore/bundle":{{"version":"4.0.0","integrity":"{SHA512}"}},
        "node_modules/alias":{{"name":"real","version":"2.0.0","integrity":"sha1-hvfkN/qlp/zhXR3cuerq6jd2Z7g= {SHA512}"}},
        "node_modules/old":{{"version":"0.1.0","integrity":"sha1-hvfkN/qlp/zhXR3cuerq6jd2Z7g="}},
        "node_modules/git":{{"version":"1.0.0","resolved":"git+ssh://git@h/x.git#abc"}},
        "node_modules/inner":{{"version":"1.0.0","inBundle":true}},
        "node_modules/local":{{"resolved":"packages/local","link":true}},
        "packages/local":{{"version":"1.0.0"}}}}}}"#
    );
    let lock = parse("package-lock.json", &text).unwrap();
    assert_eq!(shown(&lock), ["npm:@sigstore/bundle@4.0.0 1", "npm:real@2.0.0 1"]);
    let unpinned: Vec<_> = lock.unpinned.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(unpinned, ["npm:git@1.0.0", "npm:old@0.1.0"]);
    assert_eq!(lock.packages[0].files[0].digests, Digests::of_integrity(SHA512));
    let old = parse("package-lock.json", r#"{"lockfileVersion":1,"dependencies":{}}"#);
    assert!(old.unwrap_err().to_string().contains("version 1"));
}

#[test]
fn requirements_pin_what_has_a_hash() {
    let text = format!(
        "# by pip-compile\n--index-url https://example.org/simple\n\
         Foo.Bar[extra]==1.0 ; python_version > \"3\" \\\n    --hash=sha256:{SHA256} \\\n    \
         --hash=sha256:{}  # two files\n\
         six==1.16.0 --hash sha256:{SHA256}\n\
         open>=2\nstar==2.* --hash=sha256:{SHA256}\nmd==1 --hash=md5:abc\n-e ./here\n",
        SHA256.replace("ca", "cb")
    );
    let lock = parse("requirements.txt", &text).unwrap();
    assert_eq!(shown(&lock), ["pypi:foo-bar@1.0 2", "pypi:six@1.16.0 1", "pypi:star 1"]);
    let unpinned: Vec<_> = lock.unpinned.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(unpinned, ["pypi:-e ./here", "pypi:md", "pypi:open"]);
    for bad in ["-r other.txt", "x==1 --hash=sha256", "???", "=="] {
        assert!(parse("requirements.txt", bad).is_err(), "{bad}");
    }
}

#[test]
fn pylock_pins_each_file_by_its_name() {
    let text = format!(
        "lock-version = \"1.0\"\ncreated-by = \"pip\"\n\
         [[packages]]\nname = \"rfc8785\"\nversion = \"0.1.2\"\n\
         [[packages.wheels]]\nurl = \"https://f/rfc8785-0.1.2-py3-none-any.whl\"\nhashes = {{sha256 = \"{SHA256}\"}}\n\
         [packages.sdist]\nname = \"rfc8785-0.1.2.tar.gz\"\nhashes = {{sha256 = \"{SHA256}\"}}\n\
         [[packages]]\nname = \"mine\"\n[packages.directory]\npath = \".\"\n\
         [[packages]]\nname = \"bare\"\nversion = \"1\"\n[packages.sdist]\nname = \"bare-1.tar.gz\"\n"
    );
    let lock = parse("pylock.toml", &text).unwrap();
    assert_eq!(shown(&lock), ["pypi:rfc8785@0.1.2 2"]);
    let names: Vec<_> = lock.packages[0].files.iter().filter_map(|f| f.file.as_deref()).collect();
    assert_eq!(names, ["rfc8785-0.1.2-py3-none-any.whl", "rfc8785-0.1.2.tar.gz"]);
    assert_eq!(lock.unpinned.len(), 2);
    assert!(parse("pylock.dev.toml", &text).is_ok());
    assert!(parse("pylock.toml", &text.replace("\"1.0\"", "\"2.0\"")).is_err());
}

#[test]
fn a_file_of_another_name_is_no_lock_file() {
    assert!(matches!(parse("Cargo.lock", ""), Err(LockError::Kind)));
    assert!(matches!(parse("yarn.lock", ""), Err(LockError::Kind)));
    assert!(matches!(parse("package-lock.json", "{}"), Err(LockError::Form(_))));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,300}", name in 0..3usize) {
        let _ = parse(["package-lock.json", "requirements.txt", "pylock.toml"][name], &text);
    }

    #[test]
    fn a_requirement_is_read_as_it_was_written(
        name in "[a-zA-Z][a-zA-Z0-9]{0,8}([-_.][a-zA-Z0-9]{1,5})?",
        version in "[0-9]{1,3}(\\.[0-9]{1,3}){0,3}",
        digests in proptest::collection::btree_set("[0-9a-f]{64}", 1..5),
    ) {
        let hashes: String = digests.iter().map(|it| format!(" \\\n  --hash=sha256:{it}")).collect();
        let lock = parse("requirements.txt", &format!("{name}=={version}{hashes}\n")).unwrap();
        prop_assert_eq!(lock.packages.len(), 1);
        prop_assert_eq!(&lock.packages[0].name, &crate::package_name::python(&name));
        prop_assert_eq!(lock.packages[0].version.as_ref(), Some(&version));
        prop_assert_eq!(lock.packages[0].files.len(), digests.len());
    }
}
