#![forbid(unsafe_code)]
//! What every service is: directory, configuration, auth, nexus log, tasks, drive, HTTP host
