//! The network's own pages: its charter, and who has signed it. HTML for people, JSON for programs.
//!
//! Spec: `spec/10-feed.md`, section 4.7. Tested: `feed/tests/network.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use fingerpost_proto::id::OrgId;
use serde_json::{Value, json};

use super::directory::{Roll, Signatory};
use super::page::{licence, rendered};
use super::reader::Reader;
use super::reply::{Refusal, Reply};
use super::{Feed, completeness, instant, safe};

/// Vouchers named for one member; JSON names all.
const VOUCHERS_NAMED_MAX: usize = 5;

#[derive(Template)]
#[template(path = "charter.html")]
struct CharterPage {
    network: String,
    licence: String,
    purpose: String,
    principles: Vec<String>,
    vouches: String,
    objections: String,
    lease_days: u32,
    lease_days_max: u32,
    id: String,
}

#[derive(Template)]
#[template(path = "members.html")]
struct MembersPage {
    network: String,
    licence: String,
    summary: String,
    members: Vec<Member>,
    previous: String,
    next: String,
}

struct Member {
    id: String,
    name: String,
    since: String,
    vouched_by: Vec<String>,
    completeness: String,
}

fn roll(reader: &Reader<'_>) -> Result<Arc<Roll>, Refusal> {
    reader.directory().roll().ok_or_else(|| Refusal::NotFound { what: "network yet".to_owned() })
}

/// A text of several lines, each of them harmless.
fn lines(text: &str) -> String {
    text.lines().map(safe::line).collect::<Vec<_>>().join("\n")
}

/// `1 organisation`, `3 organisations`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `GET /charter`.
pub(crate) fn charter(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let roll = roll(reader)?;
    let text = &roll.charter;
    if reader.ask.html {
        return rendered(
            reader,
            &CharterPage {
                network: safe::line(&text.name),
                licence: licence(reader),
                purpose: lines(&text.purpose),
                principles: text.principles.iter().map(|principle| lines(principle)).collect(),
                vouches: format!(
                    "{} already in must vouch for it",
                    count(text.vouches_needed as usize, "organisation")
                ),
                objections: format!("{} must object", count(text.objections_needed as usize, "organisation")),
                lease_days: text.lease_days_default,
                lease_days_max: text.lease_days_max,
                id: roll.network.to_string(),
            },
        );
    }
    let founders = text.founders.iter().filter_map(|founder| OrgId::from_slice(founder));
    let mut page = json!({
        "network": roll.network.to_string(),
        "name": safe::line(&text.name),
        "purpose": lines(&text.purpose),
        "principles": text.principles.iter().map(|principle| lines(principle)).collect::<Vec<_>>(),
        "founders": founders.map(|founder| founder.to_string()).collect::<Vec<_>>(),
        "vouches_needed": text.vouches_needed,
        "objections_needed": text.objections_needed,
        "lease_days_default": text.lease_days_default,
        "lease_days_max": text.lease_days_max,
        "members": reader.ask.url("/members"),
    });
    if let Some(licence) = safe::web_address(&text.licence_url) {
        page["licence"] = Value::from(licence);
    }
    Ok(Reply { vary: "Accept", ..Reply::json(&page) })
}

/// `GET /members`.
pub(crate) fn members(_: &Feed, reader: &Reader<'_>) -> Result<Reply, Refusal> {
    let roll = roll(reader)?;
    let (number, per_page) = (reader.ask.page_number()?, reader.ask.per_page()?);
    let total = roll.signatories.len();
    let offset = (number - 1).saturating_mul(per_page);
    let shown: Vec<&Signatory> = roll.signatories.iter().skip(offset).take(per_page).collect();
    let names: HashMap<&OrgId, String> =
        roll.signatories.iter().map(|member| (&member.org, safe::line(&member.name))).collect();
    if !reader.ask.html {
        let pages = total.div_ceil(per_page);
        let page = json!({
            "total_items": total,
            "total_pages": pages,
            "page_number": number,
            "size": shown.len(),
            "first_page": number == 1,
            "last_page": number >= pages,
            "empty": shown.is_empty(),
            "contents": shown.iter().map(|member| member_json(reader, member)).collect::<Vec<_>>(),
        });
        return Ok(Reply { vary: "Accept", ..Reply::json(&page) });
    }
    let link = |is_there: bool, page: usize| {
        if is_there { format!("/members?page={page}&per_page={per_page}") } else { String::new() }
    };
    let page = MembersPage {
        network: safe::line(&roll.charter.name),
        licence: licence(reader),
        summary: format!("{}.", count(total, "organisation")),
        members: shown.iter().map(|member| member_for_people(reader, member, &names)).collect(),
        previous: link(number > 1 && total > 0, number - 1),
        next: link(offset.saturating_add(per_page) < total, number + 1),
    };
    rendered(reader, &page)
}

fn member_json(reader: &Reader<'_>, member: &Signatory) -> Value {
    let mut json = json!({
        "id": member.org.to_string(),
        "founder": member.is_founder,
        "vouched_by": member.vouched_by.iter().map(OrgId::to_string).collect::<Vec<_>>(),
    });
    let name = safe::line(&member.name);
    if !name.is_empty() {
        json["name"] = Value::from(name);
    }
    if let Some(since_ms) = member.since_ms {
        json["since"] = Value::from(instant::rfc3339(since_ms));
    }
    if let Some(records) = completeness::json(reader.directory(), &member.org) {
        json["records"] = records;
    }
    json
}

fn member_for_people(reader: &Reader<'_>, member: &Signatory, names: &HashMap<&OrgId, String>) -> Member {
    let named = |org: &OrgId| names.get(org).filter(|name| !name.is_empty()).cloned().unwrap_or_else(|| org.short());
    let mut vouched_by: Vec<String> = member.vouched_by.iter().take(VOUCHERS_NAMED_MAX).map(named).collect();
    if member.vouched_by.len() > VOUCHERS_NAMED_MAX {
        vouched_by.push(format!("{} more", member.vouched_by.len() - VOUCHERS_NAMED_MAX));
    }
    let since = match (member.is_founder, member.since_ms) {
        (true, Some(ms)) => format!("Founder; signed {}.", instant::date_for_people(ms)),
        (true, None) => "Founder.".to_owned(),
        (false, Some(ms)) => format!("Signed {}.", instant::date_for_people(ms)),
        (false, None) => String::new(),
    };
    let completeness = completeness::words(reader.directory(), &member.org);
    Member { id: member.org.to_string(), name: named(&member.org), since, vouched_by, completeness }
}
