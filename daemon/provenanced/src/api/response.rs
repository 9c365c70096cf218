//! Answers, and what goes wrong, as JSON.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use provenance_core::{encoding::json::Value, registry::EntryError};

use provenance_registry::RegistryError;

use crate::error::ServiceError;

pub(super) struct ApiResponse {
    status: StatusCode,
    body: Vec<u8>,
}

/// What goes wrong.
pub(super) enum ApiError {
    /// Nobody may write, or not this way.
    Forbidden(&'static str),
    /// Without the token, or with another.
    Unauthorised,
    /// The request makes no sense.
    Bad(String),
    /// There is none of these.
    Missing(&'static str),
    /// It contradicts what is on record.
    Conflict(String),
    /// Somebody else is at it.
    Later,
    /// The registry or the disk.
    Broken(String),
}

pub(super) type Outcome = Result<ApiResponse, ApiError>;

impl ApiResponse {
    pub(super) fn ok(value: &Value) -> Self {
        Self { status: StatusCode::OK, body: value.encode() }
    }

    pub(super) fn created(value: &Value) -> Self {
        Self { status: StatusCode::CREATED, body: value.encode() }
    }
}

impl IntoResponse for ApiResponse {
    fn into_response(self) -> Response<Body> {
        json(self.status, self.body)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response<Body> {
        let (status, message) = match self {
            Self::Forbidden(why) => (StatusCode::FORBIDDEN, why.into()),
            Self::Unauthorised => {
                (StatusCode::UNAUTHORIZED, "send the token: `Authorization: Bearer …`".into())
            }
            Self::Bad(why) => (StatusCode::BAD_REQUEST, why),
            Self::Missing(what) => (StatusCode::NOT_FOUND, what.into()),
            Self::Conflict(why) => (StatusCode::CONFLICT, why),
            Self::Later => {
                (StatusCode::SERVICE_UNAVAILABLE, "another process is at it: try again".into())
            }
            // What is wrong with this machine is no stranger's business.
            Self::Broken(why) => {
                tracing::error!("a request could not be answered: {why}");
                (StatusCode::INTERNAL_SERVER_ERROR, "see the appliance's journal".into())
            }
        };
        let mut response = json(status, Value::object([("error", message.into())]).encode());
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        response
    }
}

fn json(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Request(why) => Self::Bad(why),
            ServiceError::Conflict(why) => Self::Conflict(why),
            ServiceError::Locked(_) | ServiceError::Registry(RegistryError::Busy) => Self::Later,
            other => Self::Broken(other.to_string()),
        }
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        ServiceError::from(error).into()
    }
}

impl From<EntryError> for ApiError {
    fn from(error: EntryError) -> Self {
        Self::Bad(error.0)
    }
}
