//! IP address helpers.
