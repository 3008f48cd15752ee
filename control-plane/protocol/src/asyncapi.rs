//! The AsyncAPI 3 document of the protocol, made from [`TABLE`].

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::topics::{Kind, Role, Row, TABLE, parameter_name};

/// The document, for `heron-control asyncapi` and for tools that read AsyncAPI.
pub fn document() -> Value {
    let settings =
        SchemaSettings::draft07().with(|s| s.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    for row in &TABLE {
        let name = channel_name(row.kind);
        let schema = (row.schema)(&mut generator);
        messages.insert(
            name.clone(),
            json!({
                "name": row.message,
                "contentType": "application/json",
                "payload": schema,
                "x-max-bytes": row.max_bytes,
            }),
        );
        channels.insert(name.clone(), channel(row, &name));
        operations.insert(format!("write_{name}"), operation(row, &name));
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Heron MQTT contract",
            "version": "1",
            "description": "Topics between cameras, the control plane and browsers. Each topic has one writer.",
            "license": { "name": "MIT OR Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": generator.take_definitions(true) },
    })
}

/// The row's kind in snake_case.
fn channel_name(kind: Kind) -> String {
    let mut name = String::new();
    for letter in format!("{kind:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

fn channel(row: &Row, name: &str) -> Value {
    let parameters: Map<_, _> = row
        .pattern
        .split('/')
        .filter_map(parameter_name)
        .map(|parameter| {
            (
                parameter.to_owned(),
                json!({ "description": describe(parameter) }),
            )
        })
        .collect();
    json!({
        "address": row.pattern,
        "description": row.summary,
        "parameters": parameters,
        "messages": { name: { "$ref": format!("#/components/messages/{name}") } },
    })
}

fn operation(row: &Row, name: &str) -> Value {
    // AsyncAPI describes one application; the document speaks for the control plane.
    let action = if row.writer == Role::Control {
        "send"
    } else {
        "receive"
    };
    let mut mqtt = json!({ "qos": row.qos, "retain": row.retained, "bindingVersion": "0.2.0" });
    if let Some(seconds) = row.expiry_s {
        mqtt["messageExpiryInterval"] = seconds.into();
    }
    json!({
        "action": action,
        "channel": { "$ref": format!("#/channels/{name}") },
        "summary": row.summary,
        "x-writer": format!("{:?}", row.writer).to_lowercase(),
        "x-will": row.will,
        "bindings": { "mqtt": mqtt },
    })
}

fn describe(parameter: &str) -> &'static str {
    match parameter {
        "shard" => "Two hex digits: the first byte of the SHA-256 of the device id.",
        "device" => "The device id: [a-z0-9-]{8,40}.",
        "section" => "video, audio, network, ota, system, privacy or hardware.",
        "session" => "The session id: 32 hex digits.",
        "call" => "Chosen by the browser: 32 hex digits.",
        "tenant" => "The organisation: [a-z0-9-]{1,40}.",
        "browser" => "The browser's id from its token: [a-z0-9-]{8,40}.",
        _ => "[a-z0-9-]{1,64}.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_in_the_document_resolves() {
        fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(map) => {
                    for (key, value) in map {
                        match value {
                            Value::String(target) if key == "$ref" => found.push(target),
                            value => references(value, found),
                        }
                    }
                }
                Value::Array(values) => values.iter().for_each(|value| references(value, found)),
                _ => (),
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > TABLE.len());
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn every_row_is_a_channel_with_its_writer() {
        let document = document();
        for row in &TABLE {
            let name = channel_name(row.kind);
            assert_eq!(document["channels"][&name]["address"], row.pattern);
            assert_eq!(
                document["operations"][format!("write_{name}")]["bindings"]["mqtt"]["qos"],
                row.qos
            );
        }
    }
}
