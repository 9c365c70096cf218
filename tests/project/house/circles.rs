//! Circles of files: an edge leads from a file to the one that defines an item
//! it uses, by a `use` or by a path. `mod` lines and re-exports are no edges.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, source};

/// A module or an item, from its crate on: `["audit", "state", "Walk"]`.
type Name = Vec<String>;

/// The circles among files of one crate, a line each.
pub(super) fn find(sources: &[Source]) -> Vec<String> {
    let modules: BTreeMap<Name, usize> = sources
        .iter()
        .enumerate()
        .filter_map(|(at, it)| Some((module_of(&it.path)?, at)))
        .collect();
    let files: Vec<File> = sources.iter().map(|source| File::read(source, &modules)).collect();
    let reexports: BTreeMap<Name, Name> =
        files.iter().flat_map(|file| file.reexports.clone()).collect();
    let edges: Vec<BTreeSet<usize>> = files
        .iter()
        .enumerate()
        .map(|(at, file)| {
            let defined = file.used.iter().filter_map(|name| definer(name, &modules, &reexports));
            defined.filter(|to| *to != at && same_crate(&sources[at], &sources[*to])).collect()
        })
        .collect();
    let mut circles = BTreeSet::new();
    for start in 0..sources.len() {
        if let Some(mut circle) = path(start, start, &edges) {
            let first = (0..circle.len()).min_by_key(|at| circle[*at]).unwrap_or_default();
            circle.rotate_left(first);
            circles.insert(circle);
        }
    }
    let show = |circle: &Vec<usize>| {
        let names: Vec<&str> = circle.iter().map(|at| &*sources[*at].path).collect();
        format!("{} -> {}", names.join(" -> "), names[0])
    };
    circles.iter().map(show).collect()
}

/// The shortest way from `from` back to `to`.
fn path(from: usize, to: usize, edges: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut queue = std::collections::VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = queue.pop_front() {
        for next in &edges[*way.last()?] {
            if *next == to {
                return Some(way);
            }
            if seen.insert(*next) {
                queue.push_back([&way[..], &[*next]].concat());
            }
        }
    }
    None
}

struct File {
    /// Items used, by their names from the crate on.
    used: Vec<Name>,
    reexports: Vec<(Name, Name)>,
}

impl File {
    fn read(source: &Source, modules: &BTreeMap<Name, usize>) -> Self {
        let mut file = Self { used: vec![], reexports: vec![] };
        let Some(own) = module_of(&source.path) else { return file };
        let (code, _) = source::without_tests(&source::code(&source.text));
        let (uses, rest) = source::uses(&code);
        // Modules that paths may begin with: those imported, and those declared here.
        let mut names: BTreeMap<String, Name> = modules
            .keys()
            .filter(|module| module.split_last().is_some_and(|(_, parent)| parent == own))
            .filter_map(|module| Some((module.last()?.clone(), module.clone())))
            .collect();
        for used in uses {
            let Some(name) = absolute(&own, &used.path, modules) else { continue };
            let local = used.alias.or_else(|| used.path.last().cloned()).unwrap_or_default();
            if used.public {
                file.reexports
                    .push(([&own[..], std::slice::from_ref(&local)].concat(), name.clone()));
            } else if !modules.contains_key(&name) {
                file.used.push(name.clone());
            }
            if modules.contains_key(&name) {
                names.insert(local, name);
            }
        }
        for (_, path) in source::paths(&rest) {
            match names.get(&path[0]) {
                Some(module) => file.used.push([module, &path[1..]].concat()),
                None => file.used.extend(absolute(&own, &path, modules)),
            }
        }
        file
    }
}

/// The file that defines what `name` is, re-exports followed.
fn definer(
    name: &Name,
    modules: &BTreeMap<Name, usize>,
    reexports: &BTreeMap<Name, Name>,
) -> Option<usize> {
    let mut name = name.clone();
    for _ in 0..6 {
        let followed = (1..=name.len()).rev().find_map(|length| {
            let to = reexports.get(&name[..length])?;
            Some([&to[..], &name[length..]].concat())
        });
        match followed {
            Some(to) if to != name => name = to,
            _ => break,
        }
    }
    (1..=name.len()).rev().find_map(|length| modules.get(&name[..length]).copied())
}

/// A path from its crate on; `None` for one into another project's crate.
fn absolute(own: &Name, path: &[String], modules: &BTreeMap<Name, usize>) -> Option<Name> {
    let (first, mut rest) = path.split_first()?;
    let mut base: Name = match first.as_str() {
        "crate" => own[..1].to_vec(),
        "self" => own.clone(),
        "super" => own.split_last()?.1.to_vec(),
        name => {
            let krate = name.trim_start_matches("provenance_").replace('_', "-");
            if modules.contains_key(std::slice::from_ref(&krate)) && name != "core" {
                vec![krate]
            } else if modules.contains_key(&[&own[..], &[name.to_owned()]].concat()) {
                [&own[..], &[name.to_owned()]].concat()
            } else {
                return None;
            }
        }
    };
    while let Some((_, tail)) = rest.split_first().filter(|(first, _)| *first == "super") {
        base.pop();
        rest = tail;
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// `daemon/audit/src/state/mod.rs` is `["audit", "state"]`.
fn module_of(path: &str) -> Option<Name> {
    let (krate, file) = path.strip_prefix("daemon/")?.split_once("/src/")?;
    let mut module = vec![krate.to_owned()];
    module.extend(file.trim_end_matches(".rs").split('/').map(str::to_owned));
    module.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
    Some(module)
}

fn same_crate(a: &Source, b: &Source) -> bool {
    let krate = |path: &str| path.split("/src/").next().map(str::to_owned);
    krate(&a.path) == krate(&b.path)
}

#[test]
fn a_circle_is_found_whichever_way_it_is_written() {
    for (a, b) in [
        ("use crate::b::B;\npub struct A(B);", "use crate::a::A;\npub struct B(A);"),
        ("use super::b::{self, B};", "fn f(a: &crate::a::A) {}"),
        ("use crate::b;\nfn f() { b::g() }", "use super::{a::{A, other}, x};"),
        // A re-export stands for what it names.
        ("use crate::b::B;", "use crate::A;"),
        ("use crate::b::B as C;", "pub fn f() { super::a::g() }"),
    ] {
        let found = find(&three("pub mod a;\nmod b;\npub use a::A;", a, b));
        let expected = "daemon/x/src/a.rs -> daemon/x/src/b.rs -> daemon/x/src/a.rs";
        assert_eq!(found, [expected], "{a}\n{b}");
    }
    let up = find(&three("mod a;\nfn f() { a::g() }\npub struct R;", "use crate::R;", ""));
    assert_eq!(up, ["daemon/x/src/lib.rs -> daemon/x/src/a.rs -> daemon/x/src/lib.rs"]);
}

#[test]
fn what_is_no_circle_is_not_found() {
    for (root, a, b) in [
        ("pub mod a;\nmod b;", "use crate::b::B;", "use std::fmt;"),
        ("mod a;\npub use a::A;", "use crate::b::B;", ""),
        ("", "use crate::b::B;", "#[cfg(test)]\nmod tests { use crate::a::A; }"),
        ("", "use crate::b::B;", "// use crate::a::A;\nconst S: &str = \"crate::a::A\";"),
        ("", "use crate::b::B;", "use other::a::A;"),
    ] {
        assert_eq!(find(&three(root, a, b)), Vec::<String>::new(), "{root}\n{a}\n{b}");
    }
}

#[cfg(test)]
fn three(root: &str, a: &str, b: &str) -> [Source; 3] {
    [("lib", root), ("a", a), ("b", b)].map(|(name, text)| Source {
        path: format!("daemon/x/src/{name}.rs"),
        text: text.to_owned(),
    })
}
