"""Timelines of the incident policy: what happens, and what is decided.

`A: 300-` is a check at location A that ended at second 300 and failed (`+`: good). Its category
is in brackets (default `timeout`), `@` says when it arrived (default: at once), `<99` when it
began, `~` that the login was postponed, `/900ms` how long it took, `/14d` how long the
certificate is valid. `6d300` is a time of 6 days and 300 seconds. `m1-m6.A` stands for six
monitors; `servers` says whether they share one server, have one each, or one for two.
`ack!600` is a change at 600.

Unless stated: k=3, r=1, threshold any, interval 300, timeout 30, group wait 0, one channel c,
monitors that nobody checks are not noticed.

`alert`, `reminder`, `recovery`, `notify-...`, `closed-note` and `cert-n` are planned messages,
`alert:boss` one by the channel boss; everything else is recorded about incidents.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Timeline(NamedTuple):
    """One row: its number, what it shows, facts, settings, what is decided, end of the run."""

    number: str
    what: str
    facts: str
    settings: str
    expected: str
    end: str


TIMELINES: Final = (
    Timeline(
        "01",
        "blip",
        "A: 0+ 300- 360+",
        "",
        "",
        "4000",
    ),
    Timeline(
        "02",
        "two of three",
        "A: 300- 360- 420+",
        "",
        "",
        "4000",
    ),
    Timeline(
        "03",
        "confirmed",
        "A: 300- 360- 420- 600+",
        "",
        "opened@420 alert@420 resolved@600 recovery@600",
        "4000",
    ),
    Timeline(
        "04",
        "k=1",
        "A: 300- 600+",
        "k=1",
        "opened@300 alert@300 resolved@600 recovery@600",
        "4000",
    ),
    Timeline(
        "05",
        "r=2, one good is not enough",
        "A: 300- 360- 420- 600+ 660- 720+ 780+",
        "r=2",
        "opened@420 alert@420 resolved@780 recovery@780",
        "4000",
    ),
    Timeline(
        "06",
        "any of 3",
        "A: 300- 360- 420- ; B: 300+ 360+ 420+ ; C: 300+ 360+ 420+",
        "thr=any",
        "opened@420 alert@420",
        "600",
    ),
    Timeline(
        "07",
        "majority, one bad",
        "A: 300- 360- 420- 600- ; B: 300+ 600+ ; C: 300+ 600+",
        "thr=majority",
        "",
        "900",
    ),
    Timeline(
        "08",
        "majority, two bad",
        "A: 300- 360- 420- ; B: 300- 361- 422- ; C: 300+ 600+",
        "thr=majority",
        "opened@422 alert@422",
        "700",
    ),
    Timeline(
        "09",
        "all of 3",
        "A: 300- 360- 420- ; B: 300- 360- 420- ; C: 300- 360- 423- 600+",
        "thr=all",
        "opened@423 alert@423 resolved@600 recovery@600",
        "700",
    ),
    Timeline(
        "10",
        "count 2 of 3, one leaves",
        "A: 300- 360- 420- 600+ ; B: 300- 360- 421- 600- ; C: 300+ 600+",
        "thr=2",
        "opened@421 alert@421 resolved@600 recovery@600",
        "700",
    ),
    Timeline(
        "11",
        "count 5 of 3 is capped",
        "A: 300- 360- 420- ; B: 300- 360- 421- ; C: 300- 360- 425-",
        "thr=5",
        "opened@425 alert@425",
        "700",
    ),
    Timeline(
        "12",
        "majority of those that speak: C silent since 0",
        "A: 0+ 300- 360- 420- ; B: 0+ 300+ 360+ 420+ 600- 660- 720- ; C: 0+",
        "thr=majority",
        "opened@720 alert@720",
        "800",
    ),
    Timeline(
        "13",
        "silence does not close",
        "A: 300- 360- 420- ; B: 300- 360- 420- 600- 900- ; C: 300+ 600+ 900+",
        "thr=majority",
        "opened@420 alert@420",
        "1300",
    ),
    Timeline(
        "14",
        "alternating never confirms",
        "A: 0- 60+ 120- 180+ 240- 300+",
        "",
        "",
        "4000",
    ),
    Timeline(
        "15",
        "reopened",
        "A: 300- 360- 420- 600+ 700- 760- 820- 900+",
        "",
        (
            "opened@420 alert@420 resolved@600 recovery@600 reopened@820 alert@820 "
            "resolved@900 recovery@900"
        ),
        "1500",
    ),
    Timeline(
        "16",
        "after 10 min a new one",
        "A: 300- 360- 420- 600+ 1100- 1160- 1220- 1500+",
        "",
        (
            "opened@420 alert@420 resolved@600 recovery@600 opened@1220 alert@1220 "
            "resolved@1500 recovery@1500"
        ),
        "2000",
    ),
    Timeline(
        "17",
        "reopened at exactly 600 s",
        "A: 0- 60- 120- 600+ 1080- 1140- 1200-",
        "",
        "opened@120 alert@120 resolved@600 recovery@600 reopened@1200 alert@1200",
        "1300",
    ),
    Timeline(
        "18",
        "flapping",
        "A: 0- 60+ 120- 180+ 240- 300+ 600+",
        "k=1",
        (
            "opened@0 alert@0 resolved@60 recovery@60 reopened@120 alert@120 resolved@180 "
            "recovery@180 reopened@240 flapping@240 notify-flapping@240 resolved@300 "
            "steady-up@2100 recovery@2100"
        ),
        "4000",
    ),
    Timeline(
        "19",
        "flapping ends down",
        "A: 0- 60+ 120- 180+ 240- 540- 840-",
        "k=1",
        (
            "opened@0 alert@0 resolved@60 recovery@60 reopened@120 alert@120 resolved@180 "
            "recovery@180 reopened@240 flapping@240 notify-flapping@240 steady-down@2040 "
            "alert@2040"
        ),
        "2100",
    ),
    Timeline(
        "20",
        "reminders",
        "A: 0- 60- 120- 7500+",
        "",
        "opened@120 alert@120 reminder@3720 reminder@7320 resolved@7500 recovery@7500",
        "9000",
    ),
    Timeline(
        "21",
        "recovery at the very second of a reminder",
        "A: 0- 60- 120- 3720+",
        "",
        "opened@120 alert@120 resolved@3720 recovery@3720",
        "9000",
    ),
    Timeline(
        "22",
        "ack stops reminders and escalation, not recovery",
        "A: 0- 60- 120- 7500+ ; ack!600",
        "ch c,boss+900",
        "opened@120 alert@120 acked@600 resolved@7500 recovery@7500",
        "9000",
    ),
    Timeline(
        "23",
        "escalation",
        "A: 0- 60- 120- 1500+",
        "ch c,boss+900",
        ("opened@120 alert@120 alert:boss@1020 resolved@1500 recovery:boss@1500 recovery@1500"),
        "2000",
    ),
    Timeline(
        "24",
        "recovered before the second level",
        "A: 0- 60- 120- 900+",
        "ch c,boss+900",
        "opened@120 alert@120 resolved@900 recovery@900",
        "2000",
    ),
    Timeline(
        "25",
        "minIncidentDuration 300, shorter: that channel hears nothing",
        "A: 0- 60- 120- 400+",
        "ch c min300",
        "opened@120 resolved@400",
        "2000",
    ),
    Timeline(
        "26",
        "minIncidentDuration 300, longer",
        "A: 0- 60- 120- 480+",
        "ch c min300",
        "opened@120 alert@420 resolved@480 recovery@480",
        "2000",
    ),
    Timeline(
        "27",
        "all inside a window",
        "A: 100- 160- 220- 500+",
        "win 50-600",
        "opened@220 resolved@500",
        "2000",
    ),
    Timeline(
        "28",
        "still down after the window",
        "A: 100- 160- 220- 500- 650- 950+",
        "win 50-600",
        "opened@220 alert@650 resolved@950 recovery@950",
        "2000",
    ),
    Timeline(
        "29",
        "good again at the first check after the window",
        "A: 100- 160- 220- 500- 650+",
        "win 50-600",
        "opened@220 resolved@650",
        "2000",
    ),
    Timeline(
        "30",
        "alerted before the window, recovered inside",
        "A: 0- 60- 120- 500+",
        "win 300-600",
        "opened@120 alert@120 resolved@500 recovery@500",
        "2000",
    ),
    Timeline(
        "31",
        "alerted before, down through the window: no second alert",
        "A: 0- 60- 120- 300- 700- 1000-",
        "win 300-600",
        "opened@120 alert@120",
        "2000",
    ),
    Timeline(
        "32",
        "reminder due in a window waits for its end",
        "A: 0- 60- 120- 3900- 4200-",
        "win 3600-4000",
        "opened@120 alert@120 reminder@4000",
        "5000",
    ),
    Timeline(
        "33",
        "window over, nobody checks: alert anyway at end+vouch",
        "A: 100- 160- 220-",
        "win 50-600",
        "opened@220 alert@960",
        "2000",
    ),
    Timeline(
        "34",
        "status maintenance: nothing; back to active while down",
        "A: 100- 160- 220- 460- 700- 900+ ; maintenance!50 active!600",
        "",
        "opened@700 alert@700 resolved@900 recovery@900",
        "2000",
    ),
    Timeline(
        "35",
        "disabled while open",
        "A: 0- 60- 120- 400- ; disable!300",
        "",
        "opened@120 alert@120 closed:disabled@300 closed-note@300",
        "2000",
    ),
    Timeline(
        "36",
        "deleted while open",
        "A: 0- 60- 120- ; delete!300",
        "",
        "opened@120 alert@120 closed:deleted@300 closed-note@300",
        "2000",
    ),
    Timeline(
        "37",
        "disabled, enabled: counting begins anew",
        "A: 0- 60- 500- 560- 620- ; disable!300 enable!400",
        "",
        "opened@620 alert@620",
        "900",
    ),
    Timeline(
        "38",
        ("host edited in confirmation: begins anew; a check begun before counts for nothing"),
        "A: 0- 60- 131-<99 200- 260- 320- ; edit!100",
        "",
        "opened@320 alert@320",
        "900",
    ),
    Timeline(
        "39",
        "host edited while open, new host good",
        "A: 0- 60- 120- 310+ ; edit!300",
        "",
        "opened@120 alert@120 resolved@310 recovery@310",
        "900",
    ),
    Timeline(
        "40",
        "host edited while open, new host bad too: same incident, no second alert",
        "A: 0- 60- 120- 310- 370- 430- ; edit!300",
        "",
        "opened@120 alert@120",
        "900",
    ),
    Timeline(
        "41",
        "late, within the vouch: counts from arrival",
        "A: 0- 60- 120-@300",
        "",
        "opened@300 alert@300",
        "900",
    ),
    Timeline(
        "42",
        "late by an hour: history only",
        "A: 0-@3600 60-@3600 120-@3600 3650+",
        "",
        "",
        "5000",
    ),
    Timeline(
        "43",
        "late failures after a good check",
        "A: 600+ 300-@601 360-@601 420-@601 900+",
        "",
        "",
        "2000",
    ),
    Timeline(
        "44",
        "checker's clock an hour ahead",
        "A: 3900-@300 3960-@360 4020-@420 4200+@600",
        "",
        "opened@420 alert@420 resolved@600 recovery@600",
        "900",
    ),
    Timeline(
        "45",
        "checker's clock 40 s behind",
        "A: 260-@300 320-@360 380-@420 560+@600",
        "",
        "opened@420 alert@420 resolved@600 recovery@600",
        "900",
    ),
    Timeline(
        "46",
        "a location's own network, short: nobody hears",
        "m1-m6.A: 0+ 300- 360- 420- 600+",
        "servers=own",
        "suspect[A]@330 trusted[A]@600",
        "2000",
    ),
    Timeline(
        "47",
        "the same, longer than hold: told as one",
        "m1-m6.A: 0+ 300- 360- 420- 600- 900-",
        "servers=pairs, gw=30, hold=300",
        (
            "suspect[A]@330 released[A]@600 opened[m1]@600 opened[m2]@600 opened[m3]@600 "
            "opened[m4]@600 opened[m5]@600 opened[m6]@600 alert[m1,m2]@630 alert[m3,m4]@630 "
            "alert[m5,m6]@630"
        ),
        "1000",
    ),
    Timeline(
        "48",
        "a canary that answers: no suspicion, real outage",
        (
            "m1-m6.A: 0+ 300- 360- 420- 600+ ; canary[A]!295+ canary[A]!355+ canary[A]!415+ "
            "canary[A]!595+"
        ),
        "servers=own",
        (
            "opened[m1]@420 opened[m2]@420 opened[m3]@420 opened[m4]@420 opened[m5]@420 "
            "opened[m6]@420 alert[m1]@420 alert[m2]@420 alert[m3]@420 alert[m4]@420 "
            "alert[m5]@420 alert[m6]@420"
        ),
        "580",
    ),
    Timeline(
        "49",
        "all canaries silent: suspect at once",
        "A: 0+ 300- 360- 420- 600+ ; canary[A]!290- canary[A]!590+",
        "",
        "suspect[A]@320 trusted[A]@590",
        "900",
    ),
    Timeline(
        "50",
        "one location suspect, the others vote",
        "A: 300- 360- 420- ; B: 300+ 600+ ; C: 300- 360- 420- ; canary[A]!290-",
        "thr=majority",
        "suspect[A]@320",
        "560",
    ),
    Timeline(
        "51",
        "three monitors of one server: one alert, one recovery",
        "m1.A: 0- 60- 120- 400+ ; m2.A: 5- 65- 125- 400+ ; m3.A: 10- 70- 130- 400+",
        "gw=30",
        (
            "opened[m1]@120 opened[m2]@125 opened[m3]@130 alert[m1,m2,m3]@150 "
            "resolved[m1]@400 resolved[m2]@400 resolved[m3]@400 recovery[m1,m2,m3]@400"
        ),
        "1000",
    ),
    Timeline(
        "52",
        "a fourth joins late, after group interval",
        "m1.A: 0- 60- 120- ; m2.A: 5- 65- 125- ; m3.A: 100- 160- 220-",
        "gw=30",
        "opened[m1]@120 opened[m2]@125 alert[m1,m2]@150 opened[m3]@220 alert[m3]@450",
        "1000",
    ),
    Timeline(
        "53",
        "two of three recover, then the last",
        "m1.A: 0- 60- 120- 400+ ; m2.A: 5- 65- 125- 400+ ; m3.A: 10- 70- 130- 900+",
        "gw=30",
        (
            "opened[m1]@120 opened[m2]@125 opened[m3]@130 alert[m1,m2,m3]@150 "
            "resolved[m1]@400 resolved[m2]@400 recovery[m1,m2]@450 resolved[m3]@900 "
            "recovery[m3]@900"
        ),
        "2000",
    ),
    Timeline(
        "54",
        "recovered within group wait: silence",
        "m1.A: 0- 60- 120- 140+",
        "gw=30",
        "opened[m1]@120 resolved[m1]@140",
        "1000",
    ),
    Timeline(
        "55",
        "unwatched, then seen",
        "A: 0+ 300+ 2000+",
        "unw=300",
        "unwatched@960 watched@2000 unwatched@2660",
        "3000",
    ),
    Timeline(
        "56",
        "never checked",
        "A: 1500+",
        "unw=300",
        "unwatched@660 watched@1500 unwatched@2160",
        "3000",
    ),
    Timeline(
        "57",
        "open and unwatched: both stay",
        "A: 0- 60- 120- 2000-",
        "unw=300",
        "opened@120 alert@120 unwatched@780 watched@2000 unwatched@2660",
        "3000",
    ),
    Timeline(
        "58",
        "last location retired",
        "A: 0+ 300+ ; retire[A]!400",
        "unw=300",
        "unwatched@400",
        "500",
    ),
    Timeline(
        "59",
        "failing location retired",
        "A: 0- 60- 120- ; B: 0+ 60+ 120+ 300+ ; retire[A]!310",
        "thr=any",
        "opened@120 alert@120 resolved@310 recovery@310",
        "700",
    ),
    Timeline(
        "60",
        "certificate: first seen at 20 days, then 14, 7, 3, 1, renewed",
        "A: 0+/20d 6d+/14d 7d+/13d 13d+/7d 17d+/3d 19d+/1d 19d300+/90d",
        "",
        (
            "opened-cert@0 cert-30@0 cert-14@6d cert-7@13d cert-3@17d cert-1@19d "
            "resolved-cert@19d300"
        ),
        "20d",
    ),
    Timeline(
        "61",
        "certificate first seen at 5 days: one notice",
        "A: 0+/5d 300+/5d",
        "",
        "opened-cert@0 cert-7@0",
        "900",
    ),
    Timeline(
        "62",
        "renewed on one of two addresses",
        "A: 0+/6d 300+/90d ; B: 1+/6d 301+/6d 600+/90d",
        "",
        "opened-cert@0 cert-7@0 resolved-cert@600",
        "900",
    ),
    Timeline(
        "63",
        "slow",
        "A: 0+/900ms 300+/1200ms 600+/1300ms 900+/1100ms 1200+/900ms 1500+/700ms",
        "perf=1000",
        "opened-slow@900 resolved-slow@1500",
        "2000",
    ),
    Timeline(
        "64",
        "a failure between slow checks breaks neither",
        "A: 0+/1200ms 300+/1200ms 600- 900+/1200ms",
        "perf=1000",
        "opened-slow@900",
        "1000",
    ),
    Timeline(
        "65",
        "own fault: not down, told to the owner once",
        "A: 0-(secret_unreadable) 300-(secret_unreadable) 600+",
        "",
        "opened-config@0 notify-owner@0 resolved-config@600",
        "900",
    ),
    Timeline(
        "66",
        "login postponed: neither more proof nor less",
        (
            "A: 0-(auth_failed) 60-(auth_failed) 120-(auth_failed)~ 180-(auth_failed)~ "
            "360-(auth_failed)"
        ),
        "",
        "opened@360 alert@360",
        "900",
    ),
    Timeline(
        "67",
        "interval 60, timeout 30: recovery beats group interval",
        "m1.A: 0- 60- 120- 150+",
        "gw=20, I=60",
        "opened[m1]@120 alert[m1]@140 resolved[m1]@150 recovery[m1]@150",
        "1000",
    ),
    Timeline(
        "68",
        "delete inside group wait",
        "A: 0- 60- 120- ; delete!130",
        "gw=30",
        "opened@120 closed:deleted@130",
        "1000",
    ),
    Timeline(
        "69",
        "ack before the alert of a delayed channel only",
        "A: 0- 60- 120- 900+ ; ack!125",
        "ch c+60",
        "opened@120 acked@125 resolved@900",
        "1000",
    ),
    Timeline(
        "70",
        "the only location retired while open",
        "A: 0- 60- 120- ; retire[A]!300",
        "unw=300",
        "opened@120 alert@120 unwatched@300",
        "500",
    ),
    Timeline(
        "71",
        "window cancelled while down",
        "A: 100- 160- 220- 300- 460- ; cancelwin!400",
        "win 50-600",
        "opened@220 alert@460",
        "900",
    ),
    Timeline(
        "72",
        "window begins between opening and a delayed channel",
        "A: 0- 60- 120- 700- 1100+",
        "win 300-600, ch c,boss+300",
        ("opened@120 alert@120 alert:boss@600 resolved@1100 recovery:boss@1100 recovery@1100"),
        "2000",
    ),
    Timeline(
        "73",
        "flapping in a window is not told",
        "A: 0- 60+ 120- 180+ 240- 300+",
        "k=1, win 0-400",
        (
            "opened@0 resolved@60 reopened@120 resolved@180 reopened@240 flapping@240 "
            "resolved@300 steady-up@2100"
        ),
        "4000",
    ),
    Timeline(
        "74",
        "two windows that overlap act as one",
        "A: 100- 160- 220- 500- 650- 950-",
        "win 50-300,250-600",
        "opened@220 alert@650",
        "2000",
    ),
    Timeline(
        "75",
        "different failures in a row count together",
        "A: 0-(timeout) 60-(connect_refused) 120-(tls_closed)",
        "",
        "opened@120 alert@120",
        "900",
    ),
    Timeline(
        "76",
        "r=2 with two locations: each recovers by itself",
        "A: 0- 60- 120- 300+ 360- 420- 600+ 660+ ; B: 0- 60- 121- 300+ 360+",
        "r=2",
        "opened@120 alert@120 resolved@660 recovery@660",
        "900",
    ),
    Timeline(
        "77",
        "a good check outside of the order is history too",
        "A: 0- 60- 120- 90+@130",
        "",
        "opened@120 alert@120",
        "900",
    ),
    Timeline(
        "78",
        "everything down, seen from three places: no suspicion, no hold",
        ("m1-m6.A: 0+ 300- 360- 420- ; m1-m6.B: 0+ 300- 360- 421- ; m1-m6.C: 0+ 300- 360- 422-"),
        "servers=own, thr=majority",
        (
            "opened[m1]@421 opened[m2]@421 opened[m3]@421 opened[m4]@421 opened[m5]@421 "
            "opened[m6]@421 alert[m1]@421 alert[m2]@421 alert[m3]@421 alert[m4]@421 "
            "alert[m5]@421 alert[m6]@421"
        ),
        "500",
    ),
    Timeline(
        "79",
        "one place of three sees all down: threshold any does not open",
        (
            "m1-m6.A: 0+ 300- 360- 420- 600- 900- ; m1-m6.B: 0+ 300+ 600+ 900+ ; m1-m6.C: "
            "0+ 300+ 600+ 900+"
        ),
        "servers=own, thr=any",
        "suspect[A]@330",
        "1000",
    ),
    Timeline(
        "80",
        "the place recovers, one server was down indeed: opens by the next check after it",
        "m1-m5.A: 0+ 300- 360- 420- 600+ 900+ ; m6.A: 0+ 300- 360- 420- 600- 900-",
        "servers=own",
        "suspect[A]@330 trusted[A]@600 opened[m6]@600 alert[m6]@600",
        "1000",
    ),
)
