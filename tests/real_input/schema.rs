//! The published HSDS schemas, compiled once and shared by all threads.
//!
//! In: what a feed answered. Out: every breach of HSDS 3.0, HSDS 3.1 or the UK profile, formats included.

use std::path::{Path, PathBuf};

use jsonschema::{Retrieve, Uri, Validator};
use serde_json::{Value, json};

/// What an answer should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// One service with everything nested.
    Service,
    /// A page of services.
    ServicePage,
    /// A page of services with everything nested.
    FullServicePage,
    /// One organisation with everything nested.
    Organisation,
    /// A page of organisations.
    OrganisationPage,
    /// A page of organisations with everything nested.
    FullOrganisationPage,
}

impl Shape {
    pub(crate) const ALL: [Shape; 6] = [
        Shape::Service,
        Shape::ServicePage,
        Shape::FullServicePage,
        Shape::Organisation,
        Shape::OrganisationPage,
        Shape::FullOrganisationPage,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Service => "/services/{id}",
            Shape::ServicePage => "/services?page=N",
            Shape::FullServicePage => "/services?page=N&full=true",
            Shape::Organisation => "/organizations/{id}",
            Shape::OrganisationPage => "/organizations?page=N",
            Shape::FullOrganisationPage => "/organizations?page=N&full=true",
        }
    }

    /// The schema in the words of the profile's own OpenAPI description.
    fn schema(self, profile: &Profile) -> Value {
        let page = |item: &str| {
            json!({
                "allOf": [{ "$ref": format!("{}#/components/schemas/Page", profile.openapi) }],
                "properties": { "contents": { "type": "array", "items": { "$ref": item } } },
                "required": ["contents", "total_items", "total_pages", "page_number", "size", "first_page", "last_page", "empty"],
            })
        };
        match self {
            Shape::Service => json!({ "$ref": "service.json" }),
            Shape::ServicePage => page("compiled/service_list.json"),
            Shape::FullServicePage => page("service.json"),
            Shape::Organisation => json!({ "$ref": "organization.json" }),
            Shape::OrganisationPage => page("compiled/organization_list.json"),
            Shape::FullOrganisationPage => page("organization.json"),
        }
    }
}

struct Profile {
    folder: &'static str,
    openapi: &'static str,
}

const PROFILES: [Profile; 3] = [
    Profile { folder: "hsds-3.0", openapi: "openapi.local.json" },
    Profile { folder: "hsds-3.1-dev", openapi: "openapi.local.json" },
    Profile { folder: "hsds-uk-3.0", openapi: "openapi30.local.json" },
];

/// Compiled schemas of all profiles.
pub(crate) struct Schemas {
    compiled: Vec<(Shape, &'static str, Validator)>,
}

/// Finds what a schema names beside it, below one folder.
struct Folder(PathBuf);

impl Retrieve for Folder {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let path = self.0.join(uri.path().as_str().trim_start_matches('/'));
        let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

impl Schemas {
    /// Compiles the schemas in `folder`, which holds one folder for each profile.
    pub(crate) fn load(folder: &Path) -> Schemas {
        let mut compiled = Vec::new();
        for profile in &PROFILES {
            for shape in Shape::ALL {
                let validator = jsonschema::options()
                    .with_base_uri("https://schema.example/root.json")
                    .with_retriever(Folder(folder.join(profile.folder)))
                    .should_validate_formats(true)
                    .build(&shape.schema(profile))
                    .unwrap_or_else(|error| panic!("{} {shape:?}: {error}", profile.folder));
                compiled.push((shape, profile.folder, validator));
            }
        }
        Schemas { compiled }
    }

    /// What is wrong with an answer, by profile.
    pub(crate) fn faults(&self, shape: Shape, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        for (_, profile, validator) in self.compiled.iter().filter(|(of, ..)| *of == shape) {
            if !validator.is_valid(value) {
                let errors = validator.iter_errors(value);
                faults.extend(errors.map(|error| format!("{profile} {}: {error}", error.instance_path())));
            }
        }
        faults
    }

    /// True when every profile finds the fault: a check that accepts everything proves nothing.
    pub(crate) fn all_refuse(&self, shape: Shape, value: &Value) -> bool {
        self.compiled.iter().filter(|(of, ..)| *of == shape).all(|(_, _, validator)| !validator.is_valid(value))
    }
}
