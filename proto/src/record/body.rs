//! A decoded body of any kind.

use prost::Message;

use super::RecordError;
use crate::kind::Kind;
use crate::v1;

/// A body as its kind's message. Keep the bytes beside it: fields of later schemas are only there.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Kind 1.
    Organisation(Box<v1::Organisation>),
    /// Kind 2.
    Service(Box<v1::Service>),
    /// Kind 3.
    Location(Box<v1::Location>),
    /// Kind 4.
    Event(Box<v1::Event>),
    /// A content kind that this code does not know: its common fields.
    Other(Kind, Box<v1::Common>),
}

impl Body {
    /// Decodes protobuf; checks nothing else. Errors: [`RecordError::Undecodable`].
    pub fn decode(kind: Kind, bytes: &[u8]) -> Result<Body, RecordError> {
        fn message<M: Message + Default>(kind: Kind, bytes: &[u8]) -> Result<Box<M>, RecordError> {
            M::decode(bytes).map(Box::new).map_err(|error| RecordError::Undecodable { kind, reason: error.to_string() })
        }
        Ok(match kind {
            Kind::ORGANISATION => Body::Organisation(message(kind, bytes)?),
            Kind::SERVICE => Body::Service(message(kind, bytes)?),
            Kind::LOCATION => Body::Location(message(kind, bytes)?),
            Kind::EVENT => Body::Event(message(kind, bytes)?),
            other => Body::Other(other, message(kind, bytes)?),
        })
    }

    /// Protobuf bytes to sign.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Body::Organisation(body) => body.encode_to_vec(),
            Body::Service(body) => body.encode_to_vec(),
            Body::Location(body) => body.encode_to_vec(),
            Body::Event(body) => body.encode_to_vec(),
            Body::Other(_, body) => body.encode_to_vec(),
        }
    }

    /// Kind of the body.
    pub fn kind(&self) -> Kind {
        match self {
            Body::Organisation(_) => Kind::ORGANISATION,
            Body::Service(_) => Kind::SERVICE,
            Body::Location(_) => Kind::LOCATION,
            Body::Event(_) => Kind::EVENT,
            Body::Other(kind, _) => *kind,
        }
    }

    /// The publisher's own name for the record.
    pub fn local_id(&self) -> &str {
        match self {
            Body::Organisation(body) => &body.local_id,
            Body::Service(body) => &body.local_id,
            Body::Location(body) => &body.local_id,
            Body::Event(body) => &body.local_id,
            Body::Other(_, body) => &body.local_id,
        }
    }

    /// Name or title in the record's own language; the local id for a kind without one.
    pub fn name(&self) -> &str {
        let name = match self {
            Body::Organisation(body) => &body.name,
            Body::Service(body) => &body.name,
            Body::Location(body) => &body.name,
            Body::Event(body) => &body.name,
            Body::Other(..) => "",
        };
        if name.is_empty() { self.local_id() } else { name }
    }

    /// When the content was last changed, Unix milliseconds; 0: not stated.
    pub fn modified_ms(&self) -> u64 {
        match self {
            Body::Organisation(body) => body.modified_ms,
            Body::Service(body) => body.modified_ms,
            Body::Location(body) => body.modified_ms,
            Body::Event(body) => body.modified_ms,
            Body::Other(_, body) => body.modified_ms,
        }
    }

    /// States when the content was last changed.
    pub fn set_modified_ms(&mut self, modified_ms: u64) {
        match self {
            Body::Organisation(body) => body.modified_ms = modified_ms,
            Body::Service(body) => body.modified_ms = modified_ms,
            Body::Location(body) => body.modified_ms = modified_ms,
            Body::Event(body) => body.modified_ms = modified_ms,
            Body::Other(_, body) => body.modified_ms = modified_ms,
        }
    }
}
