//! An S3 server for the gateway to keep contents in: a process that has its buckets, each a folder, in a folder.
//!
//! `s3-server FOLDER ACCESS_KEY SECRET_KEY [PORT]` prints its port, a free one unless it is told one. It ends when its
//! standard input does, so that it never outlives what started it.

#![allow(clippy::unwrap_used, reason = "a test program: a surprise shall end it")]

use std::io::{self, Read as _, Write as _};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, access_key, secret_key, port) = match &arguments[..] {
        [folder, access, secret] => (folder, access, secret, 0),
        [folder, access, secret, port] => (folder, access, secret, port.parse().expect("a port")),
        _ => panic!("s3-server FOLDER ACCESS_KEY SECRET_KEY [PORT]"),
    };
    let service = {
        let mut builder = S3ServiceBuilder::new(FileSystem::new(folder).unwrap());
        builder.set_auth(SimpleAuth::from_single(access_key.clone(), secret_key.clone()));
        builder.build()
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", port)))?;
    let port = listener.local_addr()?.port();
    runtime.spawn(async move {
        let server = Builder::new(TokioExecutor::new());
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let connection = server.serve_connection(TokioIo::new(stream), service.clone()).into_owned();
            // A client that leaves is no failure.
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    let mut out = io::stdout();
    writeln!(out, "{port}")?;
    out.flush()?;
    io::copy(&mut io::stdin().by_ref(), &mut io::sink()).map(drop)
}
