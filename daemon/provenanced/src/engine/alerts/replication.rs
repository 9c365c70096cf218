//! What is wrong with the copies.

use provenance_core::{
    encoding::time::{Timestamp, human_span},
    record::alert::AlertCode,
};

use super::Condition;

const HOUR: i64 = 3_600_000_000_000;
/// One is due each hour; a night's outage of a line is no alert.
const OVERDUE: i64 = 26 * HOUR;

/// What is known of a place where copies go.
#[derive(Clone, Copy, Debug)]
pub struct Copying<'a> {
    pub place: &'a str,
    /// When the last run was recorded, or since when one is expected.
    pub last: Timestamp,
    /// Of how many of its objects the storage did not say that it keeps them.
    pub unlocked: u64,
    /// Why the last attempt could not go on.
    pub error: Option<&'a str>,
}

/// The conditions at `now`.
pub fn copies(known: &Copying<'_>, now: Timestamp) -> Vec<Condition> {
    let mut found = vec![];
    let mut find = |code, message: String| {
        found.push(Condition { code, subject: known.place.into(), message });
    };
    let age = now.since(known.last);
    if age > OVERDUE {
        let why = known.error.map(|error| format!(": {error}")).unwrap_or_default();
        find(AlertCode::StoreOverdue, format!("nothing was copied for {}{why}", human_span(age)));
    }
    if known.unlocked > 0 {
        let message = format!(
            "of {} objects the storage does not keep, or does not say that it keeps, what was put \
             there: whoever has its access key can remove them",
            known.unlocked
        );
        find(AlertCode::StoreUnlocked, message);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_or_not_kept_is_said_and_nothing_else() {
        let at = |hours: i64| Timestamp::from_nanos(1_795_261_374_000_000_000 + hours * HOUR);
        let known = Copying { place: "s3://b/", last: at(0), unlocked: 0, error: Some("down") };
        assert!(copies(&known, at(26)).is_empty());
        let late = copies(&known, at(27));
        assert_eq!(late.len(), 1);
        assert_eq!((late[0].code, &*late[0].subject), (AlertCode::StoreOverdue, "s3://b/"));
        assert!(late[0].message.ends_with(": down"), "{}", late[0].message);
        let open = copies(&Copying { unlocked: 3, ..known }, at(1));
        assert_eq!(open.len(), 1);
        assert_eq!(open[0].code, AlertCode::StoreUnlocked);
    }
}
