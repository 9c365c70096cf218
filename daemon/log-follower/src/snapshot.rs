//! The follower's state as a value: a cache of what a replay of the chain
//! would give, with the stats that let unchanged files be passed over.

use provenance_core::encoding::{digest::Digest, file_uri, json::Value};

use crate::{
    file_id::FileStat,
    generation::{Generation, GenerationPlace, Range, Source, State, parse_id, write_id},
};

/// The cached state is of no use; replay the chain instead.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the cached state of the log follower cannot be read; it is rebuilt from the chain")]
pub struct RestoreError;

pub(super) fn write(state: &State) -> Value {
    let sources = state.sources.iter().map(|(name, source)| {
        let generations = source.generations.iter().map(write_generation).collect::<Vec<_>>();
        Value::object([
            ("src", file_uri::encode(name).into()),
            ("next", source.next.into()),
            ("gens", generations.into()),
        ])
    });
    let retired = state.retired.iter();
    let retired = retired.map(|(key, next)| vec![hex(*key), Value::from(*next)].into());
    Value::object([
        ("v", Value::from(1_u32)),
        ("sources", sources.collect::<Vec<_>>().into()),
        ("retired", retired.collect::<Vec<Value>>().into()),
    ])
}

pub(super) fn read(value: &Value) -> Result<State, RestoreError> {
    read_state(value).ok_or(RestoreError)
}

fn write_generation(one: &Generation) -> Value {
    let place = match &one.place {
        GenerationPlace::Name => "name".into(),
        GenerationPlace::At(location) => file_uri::encode(location),
        GenerationPlace::Unknown => "unknown".into(),
        GenerationPlace::Lost => "lost".into(),
    };
    Value::object([
        ("gen", one.number.into()),
        ("id", write_id(one.id).into()),
        ("to", one.to.into()),
        ("place", place.into()),
        ("settled", one.settled.into()),
        ("packed", one.packed.into()),
        ("waits", u32::from(one.waits).into()),
    ])
    .with_some("head", one.head.map(write_range))
    .with_some("last", one.last.map(write_range))
    .with_some("seen", one.seen.map(write_stat))
}

fn write_range(range: Range) -> Value {
    vec![range.from.into(), range.to.into(), range.sha256.into()].into()
}

/// Times in nanoseconds pass 2^53: they are written in hex.
fn write_stat(stat: FileStat) -> Value {
    let time = |nanos: i64| hex(nanos.cast_unsigned());
    let mut parts = vec![hex(stat.size), time(stat.mtime), time(stat.ctime)];
    parts.extend(stat.btime.map(time));
    Value::object([("id", write_id(stat.id).into()), ("stat", parts.into())])
}

fn hex(number: u64) -> Value {
    format!("{number:x}").into()
}

fn read_state(value: &Value) -> Option<State> {
    if value.get("v")?.as_int()? != 1 {
        return None;
    }
    let mut state = State::default();
    for source in value.get("sources")?.as_array()? {
        let name = file_uri::decode(source.get("src")?.as_str()?)?;
        let next = uint(source.get("next")?)?;
        let generations = source.get("gens")?.as_array()?.iter().map(read_generation);
        let generations = generations.collect::<Option<Vec<_>>>()?;
        state.sources.insert(name, Source { next, generations });
    }
    for pair in value.get("retired")?.as_array()? {
        let [key, next] = pair.as_array()? else { return None };
        state.retired.insert(read_hex(key)?, uint(next)?);
    }
    Some(state)
}

fn read_generation(value: &Value) -> Option<Generation> {
    let mut one = Generation::new(uint(value.get("gen")?)?, parse_id(value.get("id")?.as_str()?)?);
    one.to = uint(value.get("to")?)?;
    one.place = match value.get("place")?.as_str()? {
        "name" => GenerationPlace::Name,
        "unknown" => GenerationPlace::Unknown,
        "lost" => GenerationPlace::Lost,
        location => GenerationPlace::At(file_uri::decode(location)?),
    };
    one.settled = boolean(value.get("settled")?)?;
    one.packed = boolean(value.get("packed")?)?;
    one.waits = u8::try_from(value.get("waits")?.as_int()?).ok()?;
    one.head = optional(value.get("head"), read_range)?;
    one.last = optional(value.get("last"), read_range)?;
    one.seen = optional(value.get("seen"), read_stat)?;
    Some(one)
}

fn read_range(value: &Value) -> Option<Range> {
    let [from, to, sha256] = value.as_array()? else { return None };
    let sha256 = Digest::from_hex(sha256.as_str()?.as_bytes())?;
    Some(Range { from: uint(from)?, to: uint(to)?, sha256 })
}

fn read_stat(value: &Value) -> Option<FileStat> {
    let id = parse_id(value.get("id")?.as_str()?)?;
    let parts = value.get("stat")?.as_array()?.iter().map(read_hex).collect::<Option<Vec<_>>>()?;
    let (size, mtime, ctime, btime) = match parts.as_slice() {
        [size, mtime, ctime] => (*size, *mtime, *ctime, None),
        [size, mtime, ctime, btime] => (*size, *mtime, *ctime, Some(btime.cast_signed())),
        _ => return None,
    };
    Some(FileStat { id, size, mtime: mtime.cast_signed(), ctime: ctime.cast_signed(), btime })
}

/// Absent is fine; present and unreadable is not.
fn optional<T>(value: Option<&Value>, read: fn(&Value) -> Option<T>) -> Option<Option<T>> {
    value.map_or(Some(None), |value| read(value).map(Some))
}

fn uint(value: &Value) -> Option<u64> {
    value.as_int().and_then(|int| u64::try_from(int).ok())
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        _ => None,
    }
}

fn read_hex(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?, 16).ok()
}
