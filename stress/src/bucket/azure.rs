//! The one request of Azure's dialect that the client does not know: making a container.

use anyhow::{Context, Result};
use object_store::azure::{AzureAccessKey, AzureAuthorizer, AzureCredential};
use object_store::client::HttpRequest;

/// Target and headers of the request.
pub(super) fn container_request(account: &str, key: &str, container: &str) -> Result<(String, String)> {
    let target = format!("/{account}/{container}?restype=container");
    let mut request = HttpRequest::new(object_store::client::HttpRequestBody::empty());
    *request.method_mut() = "PUT".parse().context("no method")?;
    *request.uri_mut() = format!("http://127.0.0.1{target}").parse().context("no address")?;
    let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(key)?);
    AzureAuthorizer::new(&credential, account).try_authorize(&mut request)?;
    let mut headers = String::new();
    for (name, value) in request.headers() {
        headers.push_str(&format!("{name}: {}\r\n", value.to_str()?));
    }
    Ok((target, headers))
}
