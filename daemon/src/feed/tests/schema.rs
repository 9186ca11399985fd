//! Checks objects against the published HSDS schemas, where these are at hand.

use std::path::PathBuf;

use jsonschema::{Retrieve, Uri, Validator};
use serde_json::Value;

/// The three profiles that every object must pass at once.
const PROFILES: [&str; 3] = ["hsds-3.0", "hsds-3.1-dev", "hsds-uk-3.0"];

/// The folder of schemas; `None` (said aloud) where the shared data is not at hand.
fn schemas() -> Option<PathBuf> {
    let named = std::env::var_os("FINGERPOST_SHARED").map(PathBuf::from);
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let found = named.into_iter().chain(here.ancestors().map(|folder| folder.join("shared")));
    let found = found.map(|shared| shared.join("data/hsds-schema")).find(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!(
            "SKIPPED: no shared/data/hsds-schema beside the repository; set FINGERPOST_SHARED to check the schemas"
        );
    }
    found
}

/// Finds `other.json` beside the schema that names it.
struct Folder(PathBuf);

impl Retrieve for Folder {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let name = uri.path().as_str().rsplit('/').next().unwrap_or_default().to_owned();
        Ok(serde_json::from_slice(&std::fs::read(self.0.join(name))?)?)
    }
}

fn validator(schemas: &std::path::Path, profile: &str, object: &str) -> Validator {
    let folder = schemas.join(profile);
    let schema: Value = serde_json::from_slice(&std::fs::read(folder.join(format!("{object}.json"))).unwrap()).unwrap();
    jsonschema::options()
        .with_base_uri("https://schema.example/object.json")
        .with_retriever(Folder(folder))
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

/// Checks every object against all three profiles, and that nothing is null or empty.
pub(super) fn assert_valid(object: &str, values: &[&Value]) {
    for value in values {
        assert_no_emptiness(value, object);
    }
    let Some(schemas) = schemas() else { return };
    for profile in PROFILES {
        let validator = validator(&schemas, profile, object);
        for value in values {
            let errors: Vec<String> =
                validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{profile} {object}: {errors:#?}\n{value:#}");
        }
    }
}

fn assert_no_emptiness(value: &Value, at: &str) {
    match value {
        Value::Null => panic!("{at} is null"),
        Value::String(text) => assert!(!text.trim().is_empty(), "{at} is empty"),
        Value::Array(values) => {
            assert!(!values.is_empty(), "{at} is an empty list");
            values.iter().enumerate().for_each(|(index, value)| assert_no_emptiness(value, &format!("{at}/{index}")));
        }
        Value::Object(fields) => {
            assert!(!fields.is_empty(), "{at} is an empty object");
            fields.iter().for_each(|(key, value)| assert_no_emptiness(value, &format!("{at}/{key}")));
        }
        _ => {}
    }
}

#[test]
fn the_schema_check_itself_finds_faults() {
    let Some(schemas) = schemas() else { return };
    for profile in PROFILES {
        let service = validator(&schemas, profile, "service");
        let good = serde_json::json!({ "id": "0f7f2f6e-5f5c-5a43-8b52-0d6a8f0f1f11", "name": "x", "status": "active" });
        assert!(service.is_valid(&good), "{profile}");
        for (key, bad) in
            [("id", "7"), ("status", "open"), ("url", "no url"), ("email", "no mail"), ("last_modified", "1 May")]
        {
            let mut value = good.clone();
            value[key] = Value::from(bad);
            assert!(!service.is_valid(&value), "{profile} accepts {key} {bad}");
        }
        let mut nested = good.clone();
        nested["schedules"] = serde_json::json!([{ "id": "7" }]);
        assert!(!service.is_valid(&nested), "{profile} does not look into nested objects");
    }
}
