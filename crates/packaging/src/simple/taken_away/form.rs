//! How the list is written: one way for each, so that equal lists have equal digests.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    MAX_NOTICED_KEYS, MAX_NOTICED_LEN, MAX_TAKEN_AWAY_FILES, MAX_TAKEN_AWAY_LEN,
    MAX_TAKEN_AWAY_REASON_LEN, RecoveryNotice, TakenAway, TakenAwayError, TakenFile, TakenState,
};
use crate::simple::Status;
use crate::simple::json::{self, JsonError, Members};
use crate::{DistributionFilename, ProjectName};

impl TakenAway {
    /// Reads what an index takes away from `project`.
    ///
    /// Strict: its own form byte for byte, no member twice and none that is not known, every name one
    /// of the project's files.
    ///
    /// # Errors
    ///
    /// [`TakenAwayError`] for everything else. Whoever meets it must not go on as if nothing were taken
    /// away.
    pub fn parse(bytes: &[u8], project: &ProjectName) -> Result<TakenAway, TakenAwayError> {
        let mut list = Members::of(json::parse(bytes, MAX_TAKEN_AWAY_LEN)?, "status")?;
        let said = list.need_string("project")?;
        if said != project.as_str() {
            return Err(TakenAwayError::OtherProject { said });
        }
        let state = list.take("state").map(take_state).transpose()?;
        let recovery = list.take("recovery").map(take_recovery).transpose()?;
        let parsed = TakenAway {
            project: project.clone(),
            withdrawn: take_files(&mut list, "withdrawn", project)?,
            yanked: take_files(&mut list, "yanked", project)?,
            state,
            visible_since: take_times(&mut list, project)?,
            recovery,
        };
        no_more(list)?;
        match parsed.to_json() == bytes {
            true => Ok(parsed),
            false => Err(TakenAwayError::NotCanonical),
        }
    }

    /// The list as it is hashed and signed: no space between tokens, members sorted, nothing that is
    /// empty.
    pub fn to_json(&self) -> Vec<u8> {
        let mut list = Map::new();
        let mut put = |member: &str, value: Map<String, Value>| {
            if !value.is_empty() {
                list.insert(member.to_owned(), value.into());
            }
        };
        put("withdrawn", files_value(&self.withdrawn));
        put("yanked", files_value(&self.yanked));
        let times = self.visible_since.iter();
        let times = times.map(|(name, at)| (name.clone(), at.to_string().into()));
        put("visible-since", times.collect());
        if let Some(TakenState { status, at, reason }) = &self.state {
            let mut value = said(*at, reason.as_deref());
            value.insert("status".to_owned(), status.as_str().into());
            put("state", value);
        }
        list.insert("project".to_owned(), self.project.as_str().into());
        if let Some(notice) = &self.recovery {
            let keyids: Vec<&str> = notice.keyids.iter().map(String::as_str).collect();
            let value = json!({
                "since": notice.since.to_string(),
                "keyids": keyids,
                "threshold": notice.threshold,
                "by": notice.by,
            });
            list.insert("recovery".to_owned(), value);
        }
        json::render(&list.into())
    }
}

fn files_value(files: &BTreeMap<String, TakenFile>) -> Map<String, Value> {
    let each = files.iter().map(|(name, file)| {
        let mut value = said(file.at, file.reason.as_deref());
        value.insert("sha256".to_owned(), file.sha256.to_string().into());
        (name.clone(), value.into())
    });
    each.collect()
}

fn said(at: Timestamp, reason: Option<&str>) -> Map<String, Value> {
    let mut value = Map::from_iter([("at".to_owned(), at.to_string().into())]);
    value.extend(reason.map(|reason| ("reason".to_owned(), reason.into())));
    value
}

/// The members of an object with names of files, each of them one of the project's.
fn named(
    list: &mut Members,
    member: &'static str,
    project: &ProjectName,
) -> Result<Vec<(String, Value)>, TakenAwayError> {
    let Some(value) = list.take(member) else {
        return Ok(Vec::new());
    };
    let files = Members::of(value, member)?.rest();
    if files.len() > MAX_TAKEN_AWAY_FILES {
        return Err(TakenAwayError::Bounds { member });
    }
    for filename in files.keys() {
        let parsed = DistributionFilename::parse_for(project, filename);
        if !parsed.is_ok_and(|parsed| parsed.as_str() == filename) {
            let filename = filename.clone();
            return Err(TakenAwayError::Filename { filename });
        }
    }
    Ok(files.into_iter().collect())
}

fn take_files(
    list: &mut Members,
    member: &'static str,
    project: &ProjectName,
) -> Result<BTreeMap<String, TakenFile>, TakenAwayError> {
    let files = named(list, member, project)?.into_iter();
    let files = files.map(|(name, value)| {
        let mut file = Members::of(value, member)?;
        let taken = TakenFile {
            sha256: file.need_string("sha256")?.parse()?,
            at: take_at(&mut file)?,
            reason: take_reason(&mut file)?,
        };
        no_more(file)?;
        Ok((name, taken))
    });
    files.collect()
}

fn take_times(
    list: &mut Members,
    project: &ProjectName,
) -> Result<BTreeMap<String, Timestamp>, TakenAwayError> {
    let times = named(list, "visible-since", project)?.into_iter();
    let times = times.map(|(name, value)| {
        let time = value.as_str().and_then(|text| text.parse().ok());
        let time = time.ok_or(JsonError::Type {
            member: "visible-since",
            expected: "an object of times",
        })?;
        Ok((name, time))
    });
    times.collect()
}

fn take_state(value: Value) -> Result<TakenState, TakenAwayError> {
    let mut state = Members::of(value, "state")?;
    let word = state.need_string("status")?;
    let status = match Status::from(word) {
        Status::Active => Err("active".to_owned()),
        Status::Other(word) => Err(word),
        status => Ok(status),
    };
    let taken = TakenState {
        status: status.map_err(|word| TakenAwayError::State { word })?,
        at: take_at(&mut state)?,
        reason: take_reason(&mut state)?,
    };
    no_more(state)?;
    Ok(taken)
}

fn take_recovery(value: Value) -> Result<RecoveryNotice, TakenAwayError> {
    let bounds = || TakenAwayError::Bounds { member: "recovery" };
    let mut notice = Members::of(value, "recovery")?;
    let keyids = notice.take_array("keyids")?.unwrap_or_default();
    let keyids: BTreeSet<String> = keyids
        .into_iter()
        .map(|id| id.as_str().map(str::to_owned).ok_or_else(bounds))
        .collect::<Result<_, _>>()?;
    let threshold = notice.take_u64("threshold")?.unwrap_or_default();
    let threshold = u32::try_from(threshold).map_err(|_| bounds())?;
    let by = notice.need_string("by")?;
    let is_text = |text: &String| {
        !text.is_empty() && text.len() <= MAX_NOTICED_LEN && !text.contains(char::is_control)
    };
    if keyids.is_empty()
        || keyids.len() > MAX_NOTICED_KEYS
        || !keyids.iter().all(is_text)
        || !is_text(&by)
        || threshold == 0
        || threshold as usize > keyids.len()
    {
        return Err(bounds());
    }
    let since = notice.take_time("since")?;
    let since = since.ok_or(JsonError::Missing { member: "since" })?;
    no_more(notice)?;
    Ok(RecoveryNotice {
        since,
        keyids,
        threshold,
        by,
    })
}

fn take_at(members: &mut Members) -> Result<Timestamp, JsonError> {
    let at = members.take_time("at")?;
    at.ok_or(JsonError::Missing { member: "at" })
}

fn take_reason(members: &mut Members) -> Result<Option<String>, TakenAwayError> {
    let reason = members.take_string("reason")?;
    let is_bad = |reason: &String| {
        reason.is_empty()
            || reason.len() > MAX_TAKEN_AWAY_REASON_LEN
            || reason.contains(char::is_control)
    };
    match reason {
        Some(reason) if is_bad(&reason) => Err(TakenAwayError::Bounds { member: "reason" }),
        reason => Ok(reason),
    }
}

/// Refuses what is not known: it may take something away.
fn no_more(members: Members) -> Result<(), TakenAwayError> {
    match members.rest().into_keys().next() {
        Some(member) => Err(TakenAwayError::Unknown { member }),
        None => Ok(()),
    }
}
