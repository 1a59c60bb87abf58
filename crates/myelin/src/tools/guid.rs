//! `utils.guid`: a new random iden.

use clap::{ArgMatches, Command};

use super::Exit;

pub fn args() -> Command {
    Command::new("guid").about("Print a new random iden")
}

pub async fn run(_args: ArgMatches) -> Exit {
    println!("{}", myelin_value::rand_guid());
    Ok(0)
}
