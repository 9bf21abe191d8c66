//! From an address to an object store of the crate `object_store`.

use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::{ClientConfigKey, ObjectStore, RetryConfig};

use crate::error::{Error, ErrorKind, Result};

/// Requests have limits of their own; this one only ends what was forgotten.
const REQUEST_LIMIT: &str = "1 hour";
const CONNECT_LIMIT: &str = "3 seconds";

/// Names and values in the place of the environment's; `None` for those.
type Variables<'a> = Option<&'a [(&'a str, &'a str)]>;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Built = Result<Arc<dyn ObjectStore>, BoxError>;

/// The store, its name without the prefix, and the prefix.
pub(super) fn open(address: &str, variables: Variables<'_>) -> Result<(Arc<dyn ObjectStore>, String, String)> {
    let (scheme, rest) = address.split_once("://").ok_or_else(|| not_one(address))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if bucket.is_empty() || !bucket.chars().all(is_name) {
        return Err(not_one(address));
    }
    let name = format!("{scheme}://{bucket}");
    // TLS needs to know once whose arithmetic it uses; a program that has said so already is right.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let built = match scheme {
        "s3" => s3(bucket, variables),
        "az" => azure(bucket, variables),
        _ => return Err(not_one(address)),
    };
    let store = built.map_err(|error| Error::new(ErrorKind::Denied, format!("{name} cannot be opened: {error}")))?;
    Ok((store, name, prefix.trim_end_matches('/').to_owned()))
}

fn not_one(address: &str) -> Error {
    let address = reftable::escape::escaped(address.as_bytes());
    let message = format!("'{address}' is no address: s3://BUCKET/PREFIX and az://CONTAINER/PREFIX are");
    Error::new(ErrorKind::Invalid, message)
}

/// No request is repeated below the protocol.
fn never() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn s3(bucket: &str, variables: Variables<'_>) -> Built {
    let client = AmazonS3ConfigKey::Client;
    let builder = match variables {
        None => AmazonS3Builder::from_env(),
        Some(variables) => variables.iter().fold(AmazonS3Builder::new(), |builder, (name, value)| {
            match name.to_ascii_lowercase().parse() {
                Ok(key) => builder.with_config(key, *value),
                Err(_) => builder,
            }
        }),
    };
    let mut builder = builder.with_bucket_name(bucket);
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::S3Endpoint);
    let endpoint = endpoint.or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
    is_url(endpoint.as_deref(), "AWS_ENDPOINT_URL")?;
    let value = |key| builder.get_config_value(&key);
    is_word(value(AmazonS3ConfigKey::Region), "AWS_REGION")?;
    is_word(value(AmazonS3ConfigKey::AccessKeyId), "AWS_ACCESS_KEY_ID")?;
    is_word(value(AmazonS3ConfigKey::SecretAccessKey), "AWS_SECRET_ACCESS_KEY")?;
    is_word(value(AmazonS3ConfigKey::Token), "AWS_SESSION_TOKEN")?;
    if endpoint.as_deref().is_some_and(is_this_machine) {
        builder = builder.with_allow_http(true);
    }
    no_tls(endpoint, builder.get_config_value(&client(ClientConfigKey::AllowHttp)), "AWS_ALLOW_HTTP")?;
    let builder = builder
        .with_config(client(ClientConfigKey::Timeout), REQUEST_LIMIT)
        .with_config(client(ClientConfigKey::ConnectTimeout), CONNECT_LIMIT)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // One object goes at a time, by the request that all dialects know.
        .with_disable_bulk_delete(true)
        .with_retry(never());
    Ok(Arc::new(builder.build()?))
}

fn azure(container: &str, variables: Variables<'_>) -> Built {
    let client = AzureConfigKey::Client;
    let builder = match variables {
        None => MicrosoftAzureBuilder::from_env(),
        Some(variables) => variables.iter().fold(MicrosoftAzureBuilder::new(), |builder, (name, value)| {
            match name.to_ascii_lowercase().parse() {
                Ok(key) => builder.with_config(key, *value),
                Err(_) => builder,
            }
        }),
    };
    let mut builder = builder.with_container_name(container);
    let endpoint = builder.get_config_value(&AzureConfigKey::Endpoint);
    is_url(endpoint.as_deref(), "AZURE_ENDPOINT")?;
    let value = |key| builder.get_config_value(&key);
    is_word(value(AzureConfigKey::AccountName), "AZURE_STORAGE_ACCOUNT_NAME")?;
    is_word(value(AzureConfigKey::AccessKey), "AZURE_STORAGE_ACCOUNT_KEY")?;
    is_word(value(AzureConfigKey::Token), "AZURE_STORAGE_TOKEN")?;
    if endpoint.as_deref().is_some_and(is_this_machine) {
        builder = builder.with_allow_http(true);
    }
    no_tls(endpoint, builder.get_config_value(&client(ClientConfigKey::AllowHttp)), "AZURE_ALLOW_HTTP")?;
    let builder = builder
        .with_config(client(ClientConfigKey::Timeout), REQUEST_LIMIT)
        .with_config(client(ClientConfigKey::ConnectTimeout), CONNECT_LIMIT)
        .with_retry(never());
    Ok(Arc::new(builder.build()?))
}

/// The crate below panics upon an endpoint that is none. The message does not quote it, because it
/// may have a password in it.
fn is_url(endpoint: Option<&str>, variable: &str) -> Result<(), BoxError> {
    let Some(endpoint) = endpoint else { return Ok(()) };
    let fits = ["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme))
        && is_visible(endpoint)
        && reqwest::Url::parse(endpoint).is_ok();
    if fits { Ok(()) } else { Err(format!("{variable} is no URL such as https://HOST:PORT").into()) }
}

/// The crate below panics upon what cannot stand in a header or a host name.
fn is_word(value: Option<String>, variable: &str) -> Result<(), BoxError> {
    if value.is_none_or(|value| is_visible(&value)) {
        return Ok(());
    }
    Err(format!("{variable} has spaces, line ends or other characters that cannot be in it").into())
}

fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !br#""<>\^`{|}"#.contains(&byte))
}

/// In the clear nothing is sent to another machine, unless the user wants it.
fn no_tls(endpoint: Option<String>, allowed: Option<String>, variable: &str) -> Result<(), BoxError> {
    let is_clear = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://") && !is_this_machine(&endpoint));
    if !is_clear || allowed.is_some_and(|allowed| allowed.eq_ignore_ascii_case("true")) {
        return Ok(());
    }
    Err(format!("its endpoint is another machine, without TLS; https:// has it, {variable}=true does without").into())
}

/// Whether what is sent there without TLS stays on this machine.
fn is_this_machine(endpoint: &str) -> bool {
    let Some(rest) = endpoint.strip_prefix("http://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_with_in_the_clear() {
        for endpoint in ["http://127.0.0.1:8333", "http://localhost", "http://[::1]:9000/x"] {
            assert!(is_this_machine(endpoint), "{endpoint}");
        }
        for endpoint in
            ["https://127.0.0.1", "http://example.com", "http://localhost.example.com", "http://127.0.0.1@example.com"]
        {
            assert!(!is_this_machine(endpoint), "{endpoint}");
        }
    }

    /// Requests panicked, and said so in the middle of the output of a command.
    #[test]
    fn variables_that_no_request_can_carry_are_named() {
        let told = |address: &str, name: &str, value: &str| {
            let variables = [("AZURE_STORAGE_ACCOUNT_NAME", "a"), ("AZURE_STORAGE_ACCOUNT_KEY", "YQ=="), (name, value)];
            open(address, Some(&variables)).err().map(|error| error.message().to_owned()).unwrap_or_default()
        };
        for (address, name, values) in [
            ("s3://b/x", "AWS_ENDPOINT_URL", &["", "nonsense", "http://", "http://[::1", "https://a b", "ftp://h"][..]),
            ("s3://b/x", "AWS_REGION", &["a b"]),
            ("s3://b/x", "AWS_ACCESS_KEY_ID", &["a\nb", "\u{e4}"]),
            ("s3://b/x", "AWS_SECRET_ACCESS_KEY", &["a\n"]),
            ("s3://b/x", "AWS_SESSION_TOKEN", &["a\nb"]),
            ("az://b/x", "AZURE_ENDPOINT", &["", "nonsense", "https://a b"]),
            ("az://b/x", "AZURE_STORAGE_ACCOUNT_NAME", &["a b"]),
        ] {
            for value in values {
                let told = told(address, name, value);
                assert!(told.contains(&format!("cannot be opened: {name} ")), "{name}={value:?}: {told}");
            }
        }
        assert_eq!(told("s3://b/x", "AWS_ENDPOINT_URL", "https://h:9000/x"), "");
    }

    #[test]
    fn addresses_are_of_two_kinds() {
        for address in ["s3:/b/x", "s3://", "s3:///x", "gs://b/x", "/srv/repo.git", "s3://a b/x", "s3://u:p@b/x"] {
            assert_eq!(open(address, None).err().map(|error| error.kind()), Some(ErrorKind::Invalid), "{address}");
        }
    }
}
