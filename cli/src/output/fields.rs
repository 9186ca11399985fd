//! A body's fields by their names in the schema, for `show`: as JSON and as lines.
//!
//! Works from the schema's descriptor, so that a field added there is shown without a change here.

use std::sync::LazyLock;

use fingerpost_proto::id::RecordId;
use fingerpost_proto::kind::Kind;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind as FieldKind, Value};
use serde_json::Value as Json;

/// The stated fields of a body, keys as in the schema.
///
/// Byte strings of 16 bytes are UUIDs, others hexadecimal; enums are their short lower-case names. `None` when the
/// bytes are not a message of this kind. A kind that is not known gives its common fields.
pub fn json(kind: Kind, body: &[u8]) -> Option<Json> {
    decode(kind, body).map(|message| message_json(&message))
}

/// One line for each stated value, as (path, text), in the order of the schema; `phones[1].number` is the second phone's
/// number. Empty when the bytes are not a message of this kind.
pub fn lines(kind: Kind, body: &[u8]) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    if let Some(message) = decode(kind, body) {
        collect_message("", &message, &mut lines);
    }
    lines
}

/// Names of the stated fields, in the order of the schema.
pub fn names(kind: Kind, body: &[u8]) -> Vec<String> {
    decode(kind, body).map_or_else(Vec::new, |message| {
        stated(&message).into_iter().map(|(field, _)| field.name().to_owned()).collect()
    })
}

/// The body without these fields, and without their translations. `None` when the bytes are not a message of this kind.
pub fn without(kind: Kind, body: &[u8], names: &[String]) -> Option<Vec<u8>> {
    let mut message = decode(kind, body)?;
    names.iter().for_each(|name| message.clear_field_by_name(name));
    let translations = message.get_field_by_name_mut("translations").and_then(Value::as_list_mut);
    for translation in translations.into_iter().flatten().filter_map(Value::as_message_mut) {
        if let Some(texts) = translation.get_field_by_name_mut("texts").and_then(Value::as_list_mut) {
            texts.retain(|text| {
                let field = text.as_message().and_then(|text| text.get_field_by_name("field"));
                !field.is_some_and(|field| names.iter().any(|name| field.as_str() == Some(name)))
            });
        }
    }
    Some(message.encode_to_vec())
}

fn decode(kind: Kind, body: &[u8]) -> Option<DynamicMessage> {
    static POOL: LazyLock<Option<DescriptorPool>> =
        LazyLock::new(|| DescriptorPool::decode(fingerpost_proto::DESCRIPTORS).ok());
    let name = match kind {
        Kind::ORGANISATION => "Organisation",
        Kind::SERVICE => "Service",
        Kind::LOCATION => "Location",
        Kind::EVENT => "Event",
        Kind::CARD => "OrgCard",
        Kind::ACCEPTANCE => "Acceptance",
        Kind::VOUCH => "Vouch",
        Kind::OBJECTION => "Objection",
        Kind::LEAVE => "Leave",
        _ => "Common",
    };
    let descriptor = POOL.as_ref()?.get_message_by_name(&format!("fingerpost.v1.{name}"))?;
    DynamicMessage::decode(descriptor, body).ok()
}

/// The stated fields in the order of their numbers.
fn stated(message: &DynamicMessage) -> Vec<(FieldDescriptor, &Value)> {
    let mut fields: Vec<(FieldDescriptor, &Value)> = message.fields().collect();
    fields.sort_by_key(|(field, _)| field.number());
    fields
}

fn message_json(message: &DynamicMessage) -> Json {
    let fields = stated(message).into_iter();
    Json::Object(fields.map(|(field, value)| (field.name().to_owned(), value_json(&field, value))).collect())
}

fn value_json(field: &FieldDescriptor, value: &Value) -> Json {
    match value {
        Value::Bool(value) => Json::from(*value),
        Value::I32(value) => Json::from(*value),
        Value::I64(value) => Json::from(*value),
        Value::U32(value) => Json::from(*value),
        Value::U64(value) => Json::from(*value),
        Value::F32(value) => Json::from(*value),
        Value::F64(value) => Json::from(*value),
        Value::String(value) => Json::from(value.as_str()),
        Value::Bytes(value) => Json::from(bytes_text(value)),
        Value::EnumNumber(number) => match field.kind() {
            FieldKind::Enum(descriptor) => Json::from(enum_text(&descriptor, *number)),
            _ => Json::from(*number),
        },
        Value::Message(message) => message_json(message),
        Value::List(values) => values.iter().map(|value| value_json(field, value)).collect(),
        // The schemas have no maps.
        Value::Map(_) => Json::Null,
    }
}

fn bytes_text(bytes: &[u8]) -> String {
    match RecordId::from_slice(bytes) {
        Some(id) => id.to_string(),
        None => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// `SERVICE_STATUS_ACTIVE` of `ServiceStatus` is `active`; a number that has no name stays a number.
fn enum_text(descriptor: &EnumDescriptor, number: i32) -> String {
    let Some(value) = descriptor.get_value(number) else { return number.to_string() };
    let mut prefix = String::new();
    for (at, character) in descriptor.name().char_indices() {
        if at > 0 && character.is_ascii_uppercase() {
            prefix.push('_');
        }
        prefix.push(character.to_ascii_uppercase());
    }
    prefix.push('_');
    value.name().strip_prefix(&prefix).unwrap_or(value.name()).to_lowercase()
}

fn collect_message(path: &str, message: &DynamicMessage, lines: &mut Vec<(String, String)>) {
    let dot = if path.is_empty() { "" } else { "." };
    for (field, value) in stated(message) {
        collect(format!("{path}{dot}{}", field.name()), &field, value, lines);
    }
}

fn collect(path: String, field: &FieldDescriptor, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Message(message) => collect_message(&path, message, lines),
        Value::List(values) => {
            for (at, value) in values.iter().enumerate() {
                collect(format!("{path}[{at}]"), field, value, lines);
            }
        }
        value => match value_json(field, value) {
            Json::String(text) => lines.push((path, text)),
            other => lines.push((path, other.to_string())),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use fingerpost_proto::v1;
    use prost::Message;

    use super::*;

    #[test]
    fn a_body_is_shown_by_the_names_of_its_schema() {
        let body = v1::Service {
            local_id: "drop-in".into(),
            role: v1::Role::Owner.into(),
            status: v1::ServiceStatus::TemporarilyClosed.into(),
            organisation: vec![1; 16],
            phones: vec![v1::Phone { number: "0115 496 0123".into(), ..Default::default() }],
            minimum_age: Some(0),
            ..Default::default()
        };
        let bytes = body.encode_to_vec();
        let json = json(Kind::SERVICE, &bytes).unwrap();
        assert_eq!(json["local_id"], "drop-in");
        assert_eq!(json["role"], "owner");
        assert_eq!(json["status"], "temporarily_closed");
        assert_eq!(json["organisation"], "01010101-0101-0101-0101-010101010101");
        assert_eq!(json["minimum_age"], 0, "a stated zero is not the same as nothing");
        assert!(json.get("maximum_age").is_none());
        let paths: Vec<String> = lines(Kind::SERVICE, &bytes).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["local_id", "role", "organisation", "status", "minimum_age", "phones[0].number"]);
    }

    #[test]
    fn a_kind_from_the_future_shows_its_common_fields_and_rubbish_shows_nothing() {
        let body = v1::Common { local_id: "x".into(), ..Default::default() };
        assert_eq!(json(Kind(77), &body.encode_to_vec()).unwrap()["local_id"], "x");
        assert_eq!(json(Kind::SERVICE, b"\xff\xff"), None);
    }

    #[test]
    fn an_unknown_enum_number_stays_a_number() {
        let body = v1::Service { status: 99, ..Default::default() };
        assert_eq!(json(Kind::SERVICE, &body.encode_to_vec()).unwrap()["status"], "99");
    }
}
