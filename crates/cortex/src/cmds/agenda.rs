//! `cron.*`: jobs that run at a time.

use super::{Default, PureArg, PureCmd, arg, flag};

const IDEN: PureArg = arg("iden", "The job's iden, or enough of its beginning to tell it from all others.");

const fn old(name: &'static str, help: &'static str) -> PureArg {
    arg(name, help).removed_in("v3.0.0")
}

pub const CMDS: &[PureCmd] = &[
    PureCmd::new(
        "cron.add",
        r#"Run a query again and again.

All times are UTC. The period is written as

    <how often>[/<value>,...][@<time>]

where <how often> is one of

    minutely    every minute; minutely/N every N minutes
    hourly      at minute 0; hourly/N every N hours
    daily       at midnight; daily/N every N days
    weekly      on Mondays at midnight; weekly/Tue,Fri on those days
    monthly     on the first at midnight; monthly/1,15,-1 on those days, counted from the end when negative
    yearly      on the first of January at midnight

and <time> is HH:MM, HH, or for hours :MM or :MM,MM.

Examples:

    // Every day at half past two
    cron.add --period daily@14:30 { inet:fqdn#watch | watch.update }

    // At minute 15 and 45 of every hour
    cron.add --period hourly@:15,45 { queue.pump }

    // On Monday and Thursday mornings, under a name
    cron.add --name digest --period weekly/Mon,Thu@06 { digest.send }"#,
        &[
            arg("query", "What to run."),
            flag("--pool", "Let a mirror of the query pool run the job."),
            arg("--affinity", "The AHA name of the service which should run the job if it can.").default(Default::Null),
            arg("--name", "A name for the job."),
            arg("--iden", "The iden to give to the job, instead of a new one."),
            arg("--doc", "A description of the job."),
            arg("--view", "The view in which the job runs."),
            arg("--period", "How often the job runs."),
            old("--minute", "At which minutes the job runs, or every how many."),
            old("--hour", "At which hours the job runs, or every how many."),
            old("--day", "On which days the job runs, or every how many."),
            old("--month", "In which months the job runs, or every how many."),
            old("--year", "Every how many years the job runs."),
            old("--hourly", "At which minute of every hour the job runs."),
            old("--daily", "At which time of every day the job runs."),
            old("--monthly", "On which day and at which time of every month the job runs."),
            old("--yearly", "In which month, on which day and at which time of every year the job runs."),
        ],
        r#"
        $job = $lib.cron.add(
            query=$cmdopts.query, period=$cmdopts.period,
            minute=$cmdopts.minute, hour=$cmdopts.hour, day=$cmdopts.day, month=$cmdopts.month, year=$cmdopts.year,
            hourly=$cmdopts.hourly, daily=$cmdopts.daily, monthly=$cmdopts.monthly, yearly=$cmdopts.yearly,
            pool=$cmdopts.pool, affinity=$cmdopts.affinity, iden=$cmdopts.iden, view=$cmdopts.view)
        for $name in (doc, name) {
            if $cmdopts.$name { $job.set($name, $cmdopts.$name) }
        }
        $lib.print(`Created cron job: {$job.iden}`)
        "#,
    ),
    PureCmd::new(
        "cron.at",
        r#"Run a query once, or at several given times.

All times are UTC, and seconds do not count. A time is either written out or counted from now as a plus sign and a
number. Several are separated by commas. The job stays listed after its last run until it is deleted.

Examples:

    // In five minutes
    cron.at --minute +5 { [ inet:fqdn=example.com +#checked ] }

    // Tomorrow and in a week
    cron.at --day +1,+7 { report.make }

    // Just before the end of the year
    cron.at --dt 20301231Z2359 { report.make }"#,
        &[
            arg("query", "What to run."),
            arg("--minute", "In how many minutes, or at which minutes."),
            arg("--hour", "In how many hours, or at which hours."),
            arg("--day", "In how many days, or on which days."),
            arg("--dt", "At which dates and times."),
            flag("--now", "At once."),
            arg("--iden", "The iden to give to the job, instead of a new one."),
            arg("--view", "The view in which the job runs."),
            arg("--affinity", "The AHA name of the service which should run the job if it can.").default(Default::Null),
        ],
        r#"
        $job = $lib.cron.at(
            query=$cmdopts.query, now=$cmdopts.now, dt=$cmdopts.dt,
            minute=$cmdopts.minute, hour=$cmdopts.hour, day=$cmdopts.day,
            iden=$cmdopts.iden, view=$cmdopts.view, affinity=$cmdopts.affinity)
        $lib.print(`Created cron job: {$job.iden}`)
        "#,
    ),
    PureCmd::new(
        "cron.del",
        "Delete a cron job.",
        &[IDEN],
        r#"
        $lib.cron.del($cmdopts.iden)
        $lib.print(`Deleted cron job: {$cmdopts.iden}`)
        "#,
    ),
    PureCmd::new(
        "cron.move",
        "Let a cron job run in another view.",
        &[IDEN, arg("view", "The iden of the view.")],
        r#"
        $iden = $lib.cron.move($cmdopts.iden, $cmdopts.view)
        $lib.print(`Moved cron job: {$iden} (now in view {$cmdopts.view})`)
        "#,
    ),
    PureCmd::new(
        "cron.mod",
        r#"Change what a cron job runs, or how often.

The period is written as for cron.add. A disabled job stays disabled.

Examples:

    // Another query
    cron.mod 5e1a { inet:fqdn#watch | watch.update --all }

    // Another period
    cron.mod 5e1a --period hourly@:25"#,
        &[IDEN, arg("query", "What to run from now on.").nargs("?"), arg("--period", "How often from now on.")],
        r#"
        if (not ($cmdopts.query or $cmdopts.period)) {
            $lib.raise(BadArg, 'Give a new query, a new --period, or both.')
        }
        $iden = $lib.cron.mod($cmdopts.iden, query=$cmdopts.query, period=$cmdopts.period)
        $lib.print(`Modified cron job: {$iden}`)
        "#,
    ),
    PureCmd::new(
        "cron.cleanup",
        "Delete the cron jobs which will not run again.",
        &[],
        r#"
        $done = (0)
        for $cron in $lib.cron.list() {
            $job = $cron.pack()
            if $job.recs { continue }
            $lib.cron.del($job.iden)
            $done = ($done + 1)
        }
        $lib.print(`{$done} cron/at jobs deleted.`)
        "#,
    ),
    PureCmd::new(
        "cron.list",
        "List the cron jobs.",
        &[],
        r#"
        $crons = $lib.cron.list()
        if $crons {
            $printer = $lib.tabular.printer(({
                "separators": {
                    "row:outline": false, "column:outline": false,
                    "header:row": '#', "data:row": "", "column": "",
                },
                "columns": [
                    {"name": "user", "width": 24},
                    {"name": "iden", "width": 10},
                    {"name": "view", "width": 10},
                    {"name": "en?", "width": 3},
                    {"name": "rpt?", "width": 4},
                    {"name": "now?", "width": 4},
                    {"name": "err?", "width": 4},
                    {"name": '# start', "width": 7},
                    {"name": "last start", "width": 16},
                    {"name": "last end", "width": 16},
                    {"name": "query", "newlines": "split"},
                ],
            }))
            $lib.print($printer.header())
            for $cron in $crons {
                $job = $cron.pprint()
                $lib.print($printer.row((
                    $job.user, $job.idenshort, $job.viewshort,
                    $job.enabled, $job.isrecur, $job.isrunning, $job.iserr,
                    `{$job.startcount}`, $job.laststart, $job.lastend, $job.query)))
            }
        } else {
            $lib.print('There are no cron jobs.')
        }
        "#,
    ),
    PureCmd::new(
        "cron.stat",
        "Show everything about a cron job.",
        &[IDEN],
        r#"
        $cron = $lib.cron.get($cmdopts.iden)
        if $cron {
            $job = $cron.pprint()
            $lib.print(`iden:            {$job.iden}`)
            $lib.print(`user:            {$job.user}`)
            $lib.print(`enabled:         {$job.enabled}`)
            $lib.print(`pool:            {$job.pool}`)
            $lib.print(`affinity:        {$job.affinity}`)
            $lib.print(`recurring:       {$job.isrecur}`)
            $lib.print(`# starts:        {$job.startcount}`)
            $lib.print(`# errors:        {$job.errcount}`)
            $lib.print(`last start time: {$job.laststart}`)
            $lib.print(`last end time:   {$job.lastend}`)
            $lib.print(`last result:     {$job.lastresult}`)
            $lib.print(`query:           {$job.query}`)
            if ($lib.len($job.lasterrs) > 0) {
                $lib.print('last errors:')
                for $error in $job.lasterrs { $lib.print(`                 {$error}`) }
            }
            if $job.recs {
                $lib.print('entries:         incunit    incval required')
                for $rec in $job.recs {
                    $unit = (`{$rec.incunit}`).ljust(10)
                    $step = (`{$rec.incval}`).ljust(6)
                    $lib.print(`                 {$unit} {$step} {$rec.reqdict}`)
                }
            } else {
                $lib.print('entries:         <None>')
            }
        }
        "#,
    ),
    PureCmd::new(
        "cron.enable",
        "Let a cron job run.",
        &[IDEN],
        r#"
        $iden = $lib.cron.enable($cmdopts.iden)
        $lib.print(`Enabled cron job: {$iden}`)
        "#,
    ),
    PureCmd::new(
        "cron.disable",
        "Keep a cron job from running.",
        &[IDEN],
        r#"
        $iden = $lib.cron.disable($cmdopts.iden)
        $lib.print(`Disabled cron job: {$iden}`)
        "#,
    ),
];
