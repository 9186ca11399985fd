//! The invented city, from the files in `daemon/demo`, which are built into the program.

use std::collections::BTreeMap;

use fingerpost_proto::id::{OrgId, RecordId};
use fingerpost_proto::kind::{Audience, Kind};
use serde::Deserialize;

use super::DemoError;
use super::partner::Organisation;

/// (file name without `.csv`, text); written by the build script.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/city.rs"));
const PARTNERS: &str = include_str!("../../demo/partners.toml");

/// Everything the demo publishes.
pub(super) struct City {
    pub(super) network_name: String,
    pub(super) partners: Vec<PartnerPlan>,
    pub(super) organisations: BTreeMap<String, OrganisationFile>,
}

/// A node, the organisation that runs it, and those whose records it carries.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartnerPlan {
    pub(super) name: String,
    pub(super) organisation: String,
    pub(super) hosts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Partners {
    node: Vec<PartnerPlan>,
}

/// One organisation's spreadsheet.
pub(super) struct OrganisationFile {
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) text: String,
    kinds: Vec<String>,
}

impl OrganisationFile {
    pub(super) fn file_name(&self) -> String {
        format!("{}.csv", self.slug)
    }
}

impl City {
    pub(super) fn read() -> Result<City, DemoError> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| DemoError::City(format!("{what}: {error}"));
        let partners: Partners = toml::from_str(PARTNERS).map_err(|error| wrong("partners.toml", &error))?;
        let mut organisations = BTreeMap::new();
        for (slug, text) in FILES {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let headers = reader.headers().map_err(|error| wrong(slug, &error))?.clone();
            let column = |name: &str| headers.iter().position(|header| header == name);
            let (kind, name) =
                column("kind").zip(column("name")).ok_or_else(|| wrong(slug, &"no kind or name column"))?;
            let mut kinds = Vec::new();
            let mut organisation_name = String::new();
            for row in reader.records() {
                let row = row.map_err(|error| wrong(slug, &error))?;
                if &row[kind] == "organisation" {
                    organisation_name = row[name].to_owned();
                }
                kinds.push(row[kind].to_owned());
            }
            let (slug, text) = ((*slug).to_owned(), (*text).to_owned());
            organisations.insert(slug.clone(), OrganisationFile { slug, name: organisation_name, text, kinds });
        }
        Ok(City { network_name: "Harrowmere Welcome Directory".to_owned(), partners: partners.node, organisations })
    }

    pub(super) fn organisation(&self, slug: &str) -> Result<&OrganisationFile, DemoError> {
        self.organisations.get(slug).ok_or_else(|| DemoError::City(format!("there is no file {slug}.csv")))
    }

    /// Rows of a kind over all files.
    pub(super) fn count(&self, kind: &str) -> usize {
        self.organisations.values().flat_map(|file| &file.kinds).filter(|found| *found == kind).count()
    }

    /// Knows the organisations' ids, for references from one file to another.
    pub(super) fn location_ids(&self, organisations: &[Organisation]) -> LocationIds {
        LocationIds(organisations.iter().map(|organisation| (organisation.slug.clone(), organisation.org())).collect())
    }
}

/// Turns `@organisation/location` into the record id of that location.
pub(super) struct LocationIds(BTreeMap<String, OrgId>);

impl LocationIds {
    pub(super) fn resolve(&self, text: &str) -> Result<String, DemoError> {
        let mut resolved = String::with_capacity(text.len());
        let mut rest = text;
        // An e-mail address has something before its @; a reference begins a cell or follows a separator.
        while let Some(at) = rest.find('@') {
            let begins = rest[..at].chars().next_back().is_none_or(|before| matches!(before, ',' | ';' | '"' | ' '));
            let end = rest[at + 1..].find([',', ';', '"', '\n']).map_or(rest.len(), |end| at + 1 + end);
            resolved.push_str(&rest[..at]);
            match rest[at + 1..end].trim().split_once('/').filter(|_| begins) {
                Some((slug, local_id)) => {
                    let org = self.0.get(slug).ok_or_else(|| DemoError::City(format!("@{slug} is nobody")))?;
                    let record = RecordId::derive(org, Kind::LOCATION, Audience::Public, local_id);
                    resolved.push_str(&record.to_string());
                    rest = &rest[end..];
                }
                None => {
                    resolved.push('@');
                    rest = &rest[at + 1..];
                }
            }
        }
        resolved.push_str(rest);
        Ok(resolved)
    }
}

/// The same file with a word added to the description of its first service.
pub(super) fn edit_first_service(text: &str) -> Option<String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().ok()?.clone();
    let column = |name: &str| headers.iter().position(|header| header == name);
    let (kind, description) = column("kind").zip(column("description"))?;
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&headers).ok()?;
    let mut is_edited = false;
    for row in reader.records() {
        let row = row.ok()?;
        let is_target = !is_edited && row.get(kind) == Some("service");
        is_edited |= is_target;
        let cells = row.iter().enumerate().map(|(at, cell)| {
            if is_target && at == description {
                format!("{cell} Open an hour longer this week.")
            } else {
                cell.to_owned()
            }
        });
        writer.write_record(cells).ok()?;
    }
    String::from_utf8(writer.into_inner().ok()?).ok().filter(|_| is_edited)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_city_has_the_size_that_the_demo_promises() {
        let city = City::read().unwrap();
        assert!(city.organisations.len() >= 40);
        assert!(city.count("service") >= 150 && city.count("event") >= 60);
        assert_eq!(city.count("organisation"), city.organisations.len());
        let carried: usize = city.partners.iter().map(|partner| 1 + partner.hosts.len()).sum();
        assert_eq!(carried, city.organisations.len());
    }

    #[test]
    fn a_reference_becomes_a_record_id_and_an_email_address_stays() {
        let ids = LocationIds(BTreeMap::from([("hall".to_owned(), OrgId([1; 32]))]));
        let record = RecordId::derive(&OrgId([1; 32]), Kind::LOCATION, Audience::Public, "main");
        let text = "a@b.example,@hall/main;x,\"@hall/main\"";
        assert_eq!(ids.resolve(text).unwrap(), format!("a@b.example,{record};x,\"{record}\""));
        assert!(ids.resolve(",@nobody/x").is_err());
    }

    #[test]
    fn an_edit_changes_one_cell() {
        let text = "kind,name,description\nlocation,a,b\nservice,c,d\nservice,e,f\n";
        let edited = edit_first_service(text).unwrap();
        assert_eq!(
            edited,
            "kind,name,description\nlocation,a,b\nservice,c,d Open an hour longer this week.\nservice,e,f\n"
        );
    }
}
