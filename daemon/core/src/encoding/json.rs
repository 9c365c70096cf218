//! Canonical JSON (RFC 8785, JCS) as values: the one encoder of everything
//! that is hashed or signed, and the reader for foreign or free-form parts.
//!
//! There are no floating-point numbers: integers below 2^53, and larger ones
//! as strings.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use core::cmp::Ordering;

use super::json_scanner::{MAX_DEPTH, MAX_INT, ScanError, Scanner, sorts_before};

/// A JSON value without floating-point numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer; one of 2^53 or more is written as a string.
    Int(i64),
    /// A string.
    Str(String),
    /// An array.
    Array(Vec<Value>),
    /// An object, its members in the order RFC 8785 asks.
    Object(BTreeMap<Name, Value>),
}

/// A member's name, ordered by UTF-16 code units.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name(String);

impl Name {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.0 == other.0 {
            Ordering::Equal
        } else if sorts_before(&self.0, &other.0) {
            Ordering::Less
        } else {
            Ordering::Greater
        }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Value {
    /// An object of these members; of two with one name the later stays.
    pub fn object<'n>(members: impl IntoIterator<Item = (&'n str, Value)>) -> Self {
        Self::Object(members.into_iter().map(|(n, value)| (Name(n.into()), value)).collect())
    }

    /// Adds a member to an object; leaves any other value as it is.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Self::Object(members) = &mut self {
            members.insert(Name(name.into()), value.into());
        }
        self
    }

    /// [`Self::with`] where there is something to add.
    pub fn with_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The member `name` of an object.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(members) => members.get(&Name(name.into())),
            _ => None,
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value of an integer.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_into(&mut out);
        out
    }

    /// Appends the canonical bytes to `out`.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(int) if int.unsigned_abs() > MAX_INT.unsigned_abs() => {
                encode_str(&int.to_string(), out);
            }
            Self::Int(int) => out.extend_from_slice(int.to_string().as_bytes()),
            Self::Str(text) => encode_str(text, out),
            Self::Array(elements) => {
                list(b"[]", elements, out, |element, out| element.encode_into(out));
            }
            Self::Object(members) => list(b"{}", members, out, |(name, value), out| {
                encode_str(&name.0, out);
                out.push(b':');
                value.encode_into(out);
            }),
        }
    }

    /// Reads canonical bytes; refuses anything [`Self::encode`] would not
    /// write.
    ///
    /// # Errors
    /// What is wrong and at which byte.
    pub fn parse(bytes: &[u8]) -> Result<Self, ScanError> {
        let mut scan = Scanner::new(bytes);
        let value = Self::read(&mut scan, MAX_DEPTH)?;
        scan.finish()?;
        Ok(value)
    }

    fn read(scan: &mut Scanner<'_>, depth: u8) -> Result<Self, ScanError> {
        let Some(depth) = depth.checked_sub(1) else { return scan.fail("nested too deeply") };
        Ok(match scan.peek() {
            Some(b'{') => {
                let mut members = BTreeMap::new();
                scan.members(|scan, name| {
                    members.insert(Name(name.into()), Self::read(scan, depth)?);
                    Ok(())
                })?;
                Self::Object(members)
            }
            Some(b'[') => {
                let mut elements = Vec::new();
                scan.array(|scan| {
                    elements.push(Self::read(scan, depth)?);
                    Ok(())
                })?;
                Self::Array(elements)
            }
            Some(b'"') => Self::Str(scan.string()?.into_owned()),
            Some(b't' | b'f') => Self::Bool(scan.boolean()?),
            Some(b'n') => {
                scan.value()?;
                Self::Null
            }
            _ => Self::Int(scan.int()?),
        })
    }
}

/// Appends `text` as a JSON string.
pub fn encode_str(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..=0x1f => out.extend_from_slice(alloc::format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn list<T>(
    [open, close]: &[u8; 2],
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut each: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(*open);
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        each(item, out);
    }
    out.push(*close);
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        i64::try_from(value).map_or_else(|_| Self::Str(value.to_string()), Self::Int)
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(value.into())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(value)
    }
}

impl From<super::digest::Digest> for Value {
    fn from(value: super::digest::Digest) -> Self {
        Self::Str(value.to_hex())
    }
}

impl From<super::time::Timestamp> for Value {
    fn from(value: super::time::Timestamp) -> Self {
        Self::Str(value.to_string())
    }
}

impl From<Vec<Value>> for Value {
    fn from(value: Vec<Value>) -> Self {
        Self::Array(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn members_sort_by_utf16_as_in_rfc_8785_3_2_3() {
        let value = Value::object([
            ("\u{20ac}", Value::from("Euro Sign")),
            ("\r", "Carriage Return".into()),
            ("\u{fb33}", "Hebrew Letter Dalet With Dagesh".into()),
            ("1", "One".into()),
            ("\u{1f600}", "Emoji: Grinning Face".into()),
            ("\u{80}", "Control".into()),
            ("\u{f6}", "Latin Small Letter O With Diaeresis".into()),
        ]);
        let text = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
            \"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\
            \"\u{1f600}\":\"Emoji: Grinning Face\",\
            \"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
        assert_eq!(String::from_utf8(value.encode()).unwrap(), text);
        assert_eq!(Value::parse(text.as_bytes()), Ok(value));
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        for text in [
            "",
            " 1",
            "1 ",
            "01",
            "-0",
            "1.0",
            "1e3",
            "+1",
            "9007199254740992",
            "NaN",
            "tru",
            "{\"b\":1,\"a\":2}",
            "{\"a\":1,\"a\":2}",
            "{\"a\" :1}",
            "{\"a\":1,}",
            "[1,]",
            "[1 ,2]",
            "\"\\/\"",
            "\"\\u0041\"",
            "\"\\u000A\"",
            "\"\\u000a\"",
            "\"\\u001F\"",
            "\"\\ud83d\"",
            "\"a\nb\"",
            "\"open",
            "{\"a\":1",
            "[1",
            "nul",
            "\"\\u00",
        ] {
            assert!(Value::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Value::parse(b"\"\xff\"").is_err());
        let deep = "[".repeat(40) + &"]".repeat(40);
        assert!(Value::parse(deep.as_bytes()).is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            (-MAX_INT..=MAX_INT).prop_map(Value::Int),
            any::<String>().prop_map(Value::Str),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::btree_map(any::<String>().prop_map(Name), inner, 0..6)
                    .prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_survives_its_bytes(value in values()) {
            prop_assert_eq!(Value::parse(&value.encode()), Ok(value));
        }

        #[test]
        fn whatever_is_read_is_written_alike(mut bytes in values().prop_map(|v| v.encode()),
                                             at: prop::sample::Index, byte: u8) {
            if let Some(place) = at.get_mut_checked(&mut bytes) { *place = byte; }
            if let Ok(value) = Value::parse(&bytes) {
                prop_assert_eq!(value.encode(), bytes);
            }
        }
    }

    trait GetMut {
        fn get_mut_checked<'b>(&self, bytes: &'b mut [u8]) -> Option<&'b mut u8>;
    }

    impl GetMut for prop::sample::Index {
        fn get_mut_checked<'b>(&self, bytes: &'b mut [u8]) -> Option<&'b mut u8> {
            if bytes.is_empty() { None } else { Some(self.get_mut(bytes)) }
        }
    }
}
