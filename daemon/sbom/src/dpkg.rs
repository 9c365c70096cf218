//! The packages of a Debian system: `/var/lib/dpkg/status` and os-release(5).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use provenance_host::durable;

use crate::{
    Inventory, MAX_PACKAGES, MAX_REFERENCES, Package, SbomError, Source, inventory::purl_part,
};

/// Where dpkg keeps its status.
pub const STATUS: &str = "/var/lib/dpkg/status";
/// Where a system tells its name.
pub const OS_RELEASE: &str = "/etc/os-release";
/// At most so many bytes are read.
pub const MAX_BYTES: u64 = 256 << 20;
/// A field with its continuation lines is at most so long.
const MAX_FIELD: usize = 1 << 20;

/// Name and version of the distribution.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// `ID` of os-release(5), such as `debian`.
    pub id: String,
    /// `VERSION_ID`, such as `12`.
    pub version: Option<String>,
}

/// What is installed, by the status file at `path`.
///
/// # Errors
/// [`SbomError`].
pub fn read(path: &Path, distribution: &Distribution) -> Result<Inventory, SbomError> {
    let file = File::open(path).map_err(SbomError::io(path))?;
    parse(BufReader::new(file.take(MAX_BYTES + 1)), &path.display().to_string(), distribution)
}

/// Who the system says that it is; `linux` where it does not.
pub fn distribution(os_release: &Path) -> Distribution {
    let text = durable::read_limited(os_release, 64 << 10).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        let value = line.trim().trim_matches(['"', '\'']);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        (!value.is_empty() && value.len() <= 64 && value.chars().all(plain))
            .then(|| value.to_owned())
    };
    Distribution { id: value("ID").unwrap_or_else(|| "linux".into()), version: value("VERSION_ID") }
}

/// The paragraph of one package, as far as it is of use.
#[derive(Default)]
struct Paragraph {
    fields: BTreeMap<&'static str, String>,
    line: usize,
}

const FIELDS: [&str; 10] = [
    "Package",
    "Status",
    "Version",
    "Architecture",
    "Depends",
    "Pre-Depends",
    "Provides",
    "Maintainer",
    "Homepage",
    "Source",
];

/// What is installed, by the text of a status file.
///
/// # Errors
/// [`SbomError`]; `what` is what errors call the input.
pub fn parse(
    text: impl BufRead,
    what: &str,
    distribution: &Distribution,
) -> Result<Inventory, SbomError> {
    let mut installed: Vec<(Package, String, String)> = vec![];
    let mut provided: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut relations = 0;
    paragraphs(text, what, |paragraph| {
        let Some((package, provides)) = package(&paragraph, what, distribution)? else {
            return Ok(());
        };
        let field = |name| paragraph.fields.get(name).cloned().unwrap_or_default();
        let needs = [field("Pre-Depends"), field("Depends")].join(",");
        relations += needs.matches([',', '|']).count() + provides.len();
        if installed.len() >= MAX_PACKAGES || relations > MAX_REFERENCES {
            let of = "packages or relations";
            return Err(SbomError::TooMuch { what: what.into(), limit: MAX_PACKAGES, of });
        }
        for name in provides {
            provided.entry(name).or_default().push(package.id.clone());
        }
        installed.push((package, field("Architecture"), needs));
        Ok(())
    })?;
    installed.sort_by(|a, b| a.0.id.cmp(&b.0.id));
    if let Some([twice, _]) = installed.array_windows().find(|[a, b]| a.0.id == b.0.id) {
        return Err(SbomError::malformed(what, format!("{} stands in it twice", twice.0.id)));
    }
    // The system itself has an id that no package can have, and sorts first.
    let places: BTreeMap<String, usize> = installed
        .iter()
        .enumerate()
        .map(|(at, (package, ..))| (package.id.clone(), at + 1))
        .collect();
    let resolve = Resolve { places: &places, provided: &provided };
    let mut packages = vec![system(distribution, installed.len())];
    for (package, architecture, needs) in installed {
        let own = places.get(&package.id);
        let mut found: BTreeSet<usize> =
            needs.split(',').filter_map(|group| resolve.group(group, &architecture)).collect();
        own.map(|own| found.remove(own));
        packages.push(Package { needs: found.into_iter().collect(), ..package });
    }
    Ok(Inventory::new(Source::Dpkg, packages, 0))
}

fn system(distribution: &Distribution, count: usize) -> Package {
    Package {
        id: "/".into(),
        name: distribution.id.clone(),
        version: distribution.version.clone(),
        needs: (1..=count).collect(),
        ..Package::default()
    }
}

/// Calls `each` with every paragraph.
fn paragraphs(
    mut text: impl BufRead,
    what: &str,
    mut each: impl FnMut(Paragraph) -> Result<(), SbomError>,
) -> Result<(), SbomError> {
    let malformed =
        |line: usize, why: &str| SbomError::malformed(format!("{what} line {line}"), why);
    let (mut paragraph, mut line, mut at) = (Paragraph::default(), vec![], 0);
    let (mut field, mut total) = (None::<&'static str>, 0u64);
    loop {
        line.clear();
        let limit = MAX_FIELD as u64 + 1;
        let count =
            text.by_ref().take(limit).read_until(b'\n', &mut line).map_err(SbomError::io(what))?;
        at += 1;
        total += count as u64;
        if count as u64 == limit || total > MAX_BYTES {
            return Err(malformed(at, "longer than is accepted"));
        }
        let trimmed = line.trim_ascii_end();
        if count == 0 || trimmed.is_empty() {
            field = None;
            if !paragraph.fields.is_empty() || paragraph.line > 0 {
                each(std::mem::take(&mut paragraph))?;
            }
            if count == 0 {
                return Ok(());
            }
            continue;
        }
        if paragraph.line == 0 {
            paragraph.line = at;
        }
        if trimmed.first().is_some_and(|c| matches!(c, b' ' | b'\t')) {
            // Only of the fields that are kept; a description may hold anything.
            if let Some(value) = field.and_then(|name| paragraph.fields.get_mut(name)) {
                if value.len() + trimmed.len() > MAX_FIELD {
                    return Err(malformed(at, "longer than is accepted"));
                }
                value.push_str(&String::from_utf8_lossy(trimmed));
            }
            continue;
        }
        let Some(colon) = memchr::memchr(b':', trimmed) else {
            return Err(malformed(at, "neither a field nor the continuation of one"));
        };
        let (name, value) = trimmed.split_at(colon);
        field = FIELDS.into_iter().find(|known| known.as_bytes().eq_ignore_ascii_case(name));
        if let Some(name) = field {
            let value =
                String::from_utf8_lossy(value.get(1..).unwrap_or_default()).trim().to_owned();
            if paragraph.fields.insert(name, value).is_some() {
                return Err(malformed(at, "a field stands there twice"));
            }
        }
    }
}

/// The package, if it is installed, and what it provides.
fn package(
    paragraph: &Paragraph,
    what: &str,
    distribution: &Distribution,
) -> Result<Option<(Package, Vec<String>)>, SbomError> {
    let field = |name| paragraph.fields.get(name).map(String::as_str);
    let malformed =
        |why: &str| SbomError::malformed(format!("{what} line {}", paragraph.line), why);
    let name = field("Package").filter(|name| is_name(name));
    let name = name.ok_or_else(|| malformed("a paragraph without a package's name"))?;
    // Its last word: what is on the disk. Half-installed files are there too.
    let state = field("Status").and_then(|status| status.split_ascii_whitespace().next_back());
    match state {
        Some("not-installed" | "config-files") => return Ok(None),
        Some(
            "installed" | "triggers-pending" | "triggers-awaited" | "half-configured" | "unpacked"
            | "half-installed",
        ) => {}
        _ => return Err(malformed("a status that dpkg does not have")),
    }
    let architecture = field("Architecture").filter(|name| is_name(name));
    let architecture = architecture.ok_or_else(|| malformed("no architecture"))?;
    let version = field("Version").filter(|version| is_version(version));
    let version = version.ok_or_else(|| malformed("no version"))?;
    let mut purl = format!(
        "pkg:deb/{}/{}@{}?arch={architecture}",
        purl_part(&distribution.id),
        purl_part(name),
        purl_part(version)
    );
    if let Some(release) = &distribution.version {
        purl.push_str(&format!("&distro={}-{}", purl_part(&distribution.id), purl_part(release)));
    }
    let source = field("Source").and_then(|source| source.split_ascii_whitespace().next());
    let provides = field("Provides").unwrap_or_default().split(',');
    let provides = provides.filter_map(|group| named(group).map(|(name, _)| name.to_owned()));
    let package = Package {
        id: format!("{name}:{architecture}"),
        name: name.to_owned(),
        version: Some(version.to_owned()),
        purl: Some(purl),
        supplier: field("Maintainer").and_then(supplier),
        homepage: field("Homepage").filter(|url| is_url(url)).map(str::to_owned),
        made_from: source.filter(|name| is_name(name)).map(|name| format!("Debian source {name}")),
        ..Package::default()
    };
    Ok(Some((package, provides.collect())))
}

struct Resolve<'a> {
    places: &'a BTreeMap<String, usize>,
    provided: &'a BTreeMap<String, Vec<String>>,
}

impl Resolve<'_> {
    /// The first of the alternatives that is installed.
    fn group(&self, group: &str, architecture: &str) -> Option<usize> {
        group.split('|').find_map(|one| {
            let (name, _) = named(one)?;
            let of = |architecture: &str| self.places.get(&format!("{name}:{architecture}"));
            let provider = || {
                let ids = self.provided.get(name)?;
                ids.iter().find_map(|id| self.places.get(id))
            };
            let foreign = || {
                let first = format!("{name}:");
                let next = self.places.range(first.clone()..).next();
                next.filter(|(id, _)| id.starts_with(&first)).map(|(_, place)| place)
            };
            of(architecture).or_else(|| of("all")).or_else(foreign).or_else(provider).copied()
        })
    }
}

/// The name of a relation such as `libc6:any (>= 2.34) [linux-any]`.
fn named(relation: &str) -> Option<(&str, &str)> {
    let relation = relation.trim();
    let end = relation.find(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '<'));
    let (name, rest) = relation.split_at_checked(end.unwrap_or(relation.len()))?;
    let name = name.split(':').next()?;
    is_name(name).then_some((name, rest))
}

/// A package's or an architecture's name, as Debian's policy has it.
fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric())
        && name.bytes().all(|c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'+' | b'-' | b'.')
        })
}

fn is_version(version: &str) -> bool {
    (1..=255).contains(&version.len())
        && version.bytes().all(|c| c.is_ascii_alphanumeric() || b".+-:~".contains(&c))
}

fn is_url(url: &str) -> bool {
    let plain = |c: u8| c.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&c);
    (url.starts_with("https://") || url.starts_with("http://"))
        && url.len() <= 1024
        && url.bytes().all(plain)
}

/// `Name <address>` as SPDX has it. Who answers for a package of a
/// distribution does so for it, so this is an organisation also where the
/// name is that of one person; dpkg does not tell them apart.
fn supplier(maintainer: &str) -> Option<String> {
    let (name, address) = maintainer.rsplit_once('<')?;
    let address = address.strip_suffix('>')?.trim();
    let clean: String = name
        .chars()
        .map(|c| if c.is_control() || "()\"\\<>".contains(c) { ' ' } else { c })
        .collect();
    let name = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    let fits = |c: u8| c.is_ascii_alphanumeric() || b".+-_@".contains(&c);
    let mailable = address.matches('@').count() == 1 && address.bytes().all(fits);
    match (name.is_empty() || name.len() > 255, mailable && address.len() <= 255) {
        (true, _) => None,
        (_, true) => Some(format!("Organization: {name} ({address})")),
        _ => Some(format!("Organization: {name}")),
    }
}
