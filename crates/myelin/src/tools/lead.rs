//! Leadership: `service.promote`, `service.demote`.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use myelin_telepath::{Todo, url};

use super::{Exit, HERE, open, text};

pub fn promote_args() -> Command {
    Command::new("promote")
        .about("Make a mirror the leader: gracefully, by a hand-off from the leader there is, or after its failure")
        .arg(Arg::new("svcurl").long("svcurl").default_value(HERE).help("Telepath URL of the mirror"))
        .arg(
            Arg::new("failure")
                .long("failure")
                .action(ArgAction::SetTrue)
                .help("The leader is lost: take over without asking it"),
        )
}

pub async fn promote(args: ArgMatches) -> Exit {
    let url = text(&args, "svcurl");
    let (_env, proxy) = open(url).await?;
    println!("Promoting to leader: {url}");
    match proxy.call(Todo::new("promote").kw("graceful", !args.get_flag("failure"))).await {
        Ok(_) => Ok(0),
        Err(error) if error.is("BadState") => {
            println!("Failed to promote service to being a leader; {}", error.message());
            Ok(1)
        }
        Err(error) => {
            println!("Failed to promote service {}: {error}", url::sanitize(url));
            Ok(1)
        }
    }
}

pub fn demote_args() -> Command {
    Command::new("demote")
        .about("Have the mirror that is furthest along take over from this leader")
        .arg(Arg::new("url").long("url").default_value(HERE).help("Telepath URL of the leader"))
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .default_value("60")
                .value_parser(value_parser!(i64))
                .help("Seconds to wait for connections"),
        )
}

pub async fn demote(args: ArgMatches) -> Exit {
    let url = text(&args, "url");
    let sane = url::sanitize(url);
    let work = async {
        let (_env, proxy) = open(url).await?;
        println!("Demoting leader: {url}");
        proxy.call(Todo::new("demote").kw("timeout", args.get_one::<i64>("timeout").copied())).await
    };
    match work.await {
        Ok(done) if done.is_truthy() => return Ok(0),
        Ok(_) => println!("Failed to demote service {sane}"),
        Err(error) => println!("Error while demoting service {sane}: {error}"),
    }
    Ok(1)
}
