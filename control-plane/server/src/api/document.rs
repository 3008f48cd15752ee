//! What the OpenAPI document says of every route alike, written once: how problems are sent, and those that any request
//! can meet.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Response, ResponseBuilder};

use super::API_PATH;

const JSON: &str = "application/json";
const PROBLEM_JSON: &str = "application/problem+json";
const PROBLEM: &str = "Problem";

/// Adds that to the document of the routes.
pub(super) fn complete(mut document: OpenApi) -> OpenApi {
    for (path, item) in &mut document.paths.paths {
        for operation in operations(item) {
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response {
                    send_as_problem(response);
                }
            }
            if path.starts_with(API_PATH) {
                add_common(operation);
            }
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem {
        get,
        put,
        post,
        delete,
        patch,
        ..
    } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

/// Problems have a type of their own (RFC 9457 section 3).
fn send_as_problem(response: &mut Response) {
    let names_problem = |content: &RefOr<Content>| match content {
        RefOr::T(Content {
            schema: Some(RefOr::Ref(schema)),
            ..
        }) => schema.ref_location.ends_with(&format!("/{PROBLEM}")),
        _ => false,
    };
    if let Some(content) = response
        .content
        .get(JSON)
        .filter(|content| names_problem(content))
    {
        let content = content.clone();
        response.content.clear();
        response.content.insert(PROBLEM_JSON.to_owned(), content);
    }
}

fn add_common(operation: &mut Operation) {
    let mut common = vec![(
        "503",
        "the database cannot be reached; try again in a moment",
    )];
    if operation
        .parameters
        .as_ref()
        .is_some_and(|all| !all.is_empty())
    {
        common.push(("400", "a parameter is not of its kind"));
    }
    if operation.request_body.is_some() {
        common.extend([
            ("400", "the body is not JSON"),
            ("413", "the body is too large"),
            ("415", "the body is not sent as application/json"),
            (
                "422",
                "a field of the body is missing, unknown or not of its kind",
            ),
        ]);
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in common {
        responses.entry(status.to_owned()).or_insert_with(|| {
            let schema = Ref::from_schema_name(PROBLEM);
            let content = Content::new(Some(schema));
            let response = ResponseBuilder::new().description(description);
            response.content(PROBLEM_JSON, content).build().into()
        });
    }
}
