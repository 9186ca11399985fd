//! An organisation row.

use fingerpost_proto::kind::Kind;
use fingerpost_proto::v1;

use super::super::column::Column;
use super::super::reference::Slot;
use super::super::{DraftBody, cell, term};
use super::{Row, location};

const TRANSLATABLE: [(Column, &str); 3] =
    [(Column::Name, "name"), (Column::AlternateName, "alternate_name"), (Column::Description, "description")];

pub(super) fn read(row: &mut Row<'_, '_>) {
    let name = row.name();
    location::read_inline(row, &name, Slot::Location);
    let common = row.common(&TRANSLATABLE);
    let body = v1::Organisation {
        local_id: common.local_id.clone(),
        language: common.language,
        translations: common.translations,
        role: common.role,
        assurer_email: common.assurer_email,
        source_url: common.source_url,
        name,
        alternate_name: row.line(Column::AlternateName),
        description: row.text(Column::Description),
        website: row.url(Column::Url),
        email: row.email(Column::Email),
        phones: row.phones(),
        identifiers: row.list(Column::Identifiers, term::identifiers),
        legal_status: row.line(Column::LegalStatus),
        year_founded: row
            .check(Column::YearFounded, |text, findings| cell::number(text, 800, 2_200, findings))
            .unwrap_or_default(),
        terms: row.list(Column::Topics, term::terms),
        ..Default::default()
    };
    row.one_only(Column::Parent, "parent organisation");
    row.refer(Column::Parent, Slot::Parent, Kind::ORGANISATION);
    row.refer(Column::Location, Slot::Location, Kind::LOCATION);
    row.refer_common(Kind::ORGANISATION);
    row.push(common.local_id, DraftBody::Organisation(Box::new(body)));
}
