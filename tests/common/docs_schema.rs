//! JSON Schema, as much of it as docs/report.schema.json uses; a keyword that
//! is not known here is an error, so that none is passed over.

use serde_json::Value;

/// Whether `value` is as `schema` says; where not, what is wrong.
pub(crate) fn check(schema: &Value, value: &Value) -> Result<(), String> {
    Checker { root: schema }.check(schema, value, "")
}

struct Checker<'s> {
    root: &'s Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("{at}: {what}: {value}"));
        for (keyword, rule) in schema.as_object().ok_or("a schema is an object")? {
            match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" => {}
                // With `properties` and `additionalProperties`.
                "properties" => {}
                "$ref" => {
                    let pointer = rule.as_str().and_then(|text| text.strip_prefix('#'));
                    let target = pointer.and_then(|pointer| self.root.pointer(pointer));
                    self.check(target.ok_or("a $ref that leads nowhere")?, value, at)?;
                }
                "oneOf" => {
                    let each = rule.as_array().ok_or("oneOf is an array")?;
                    let results: Vec<_> = each.iter().map(|s| self.check(s, value, at)).collect();
                    if results.iter().filter(|result| result.is_ok()).count() != 1 {
                        return Err(format!("{at}: not one of {results:?}"));
                    }
                }
                "type" if !has_type(rule, value)? => return wrong("not of the type"),
                "enum" if !rule.as_array().is_some_and(|known| known.contains(value)) => {
                    return wrong("not in the enum");
                }
                "minimum" if value.as_i64() < rule.as_i64() => return wrong("below the minimum"),
                "minItems"
                    if value.as_array().map(Vec::len) < rule.as_u64().map(|n| n as usize) =>
                {
                    return wrong("too few items");
                }
                "pattern" if !matches(rule, value)? => return wrong("not of the pattern"),
                "type" | "enum" | "minimum" | "minItems" | "pattern" => {}
                "required" => {
                    for name in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                        if value.get(name).is_none() {
                            return wrong(&format!("no {name}"));
                        }
                    }
                }
                "items" => {
                    for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, &format!("{at}/{i}"))?;
                    }
                }
                "propertyNames" => {
                    for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                        self.check(rule, &Value::from(name.as_str()), &format!("{at}/{name}"))?;
                    }
                }
                "additionalProperties" => self.members(schema, rule, value, at)?,
                other => return Err(format!("the schema's keyword {other} is not known")),
            }
        }
        Ok(())
    }

    fn members(
        &self,
        schema: &Value,
        others: &Value,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        for (name, member) in value.as_object().into_iter().flatten() {
            let place = format!("{at}/{name}");
            match schema.get("properties").and_then(|known| known.get(name)) {
                Some(rule) => self.check(rule, member, &place)?,
                None if others == &Value::Bool(false) => {
                    return Err(format!("{place}: a member that does not belong there"));
                }
                None => self.check(others, member, &place)?,
            }
        }
        Ok(())
    }
}

fn has_type(rule: &Value, value: &Value) -> Result<bool, String> {
    Ok(match rule.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => return Err(format!("the type {rule} is not known")),
    })
}

/// Anchored patterns of literals, `\.` and `[…]`, each perhaps with `{n}`.
fn matches(rule: &Value, value: &Value) -> Result<bool, String> {
    let (Some(pattern), Some(text)) = (rule.as_str(), value.as_str()) else { return Ok(false) };
    let inner = pattern.strip_prefix('^').and_then(|p| p.strip_suffix('$'));
    let mut pattern = inner.ok_or("a pattern that is not anchored")?;
    let mut text = text.chars();
    while let Some(first) = pattern.chars().next() {
        let (class, mut rest) = match first {
            '[' => pattern[1..].split_once(']').ok_or("an open class")?,
            '\\' => pattern[1..].split_at(1),
            _ => pattern.split_at(first.len_utf8()),
        };
        let mut count = 1;
        if let Some((number, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}')) {
            (count, rest) = (number.parse().map_err(|_| "not a count")?, after);
        }
        for _ in 0..count {
            if !text.next().is_some_and(|c| in_class(class, c)) {
                return Ok(false);
            }
        }
        pattern = rest;
    }
    Ok(text.next().is_none())
}

/// Whether `c` is one of the characters or ranges, such as `0-9a-f`.
fn in_class(class: &str, c: char) -> bool {
    let class: Vec<char> = class.chars().collect();
    let range = |w: &[char]| w[1] == '-' && (w[0]..=w[2]).contains(&c);
    class.windows(3).any(range) || class.contains(&c) && (c != '-' || class.len() == 1)
}
