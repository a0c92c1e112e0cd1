//! A static web server that only this machine can reach.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::Context;
use axum::Router;
use axum::http::{HeaderValue, header};
use tokio::net::TcpListener;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

/// Binds a port and returns the listener with the site's address. Port 0 takes any free port.
pub async fn bind(port: u16) -> anyhow::Result<(TcpListener, String)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot serve on {address}"))?;
    let port = listener.local_addr()?.port();
    Ok((listener, format!("http://localhost:{port}/")))
}

/// Serves a folder until the program ends.
pub async fn serve(listener: TcpListener, folder: &Path) -> anyhow::Result<()> {
    // The browser has to load a page again after it was built again.
    let cache = HeaderValue::from_static("no-cache");
    let router = Router::new().fallback_service(ServeDir::new(folder)).layer(
        SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, cache),
    );
    Ok(axum::serve(listener, router).await?)
}
