#![forbid(unsafe_code)]
//! The platform's RPC: URLs, frames, links, server, client, pools and aha resolution
