//! What every transform does, as a table: transforms, input, output. Add a line to add a case.
//!
//! Values are written `type:text`; `null` is null, `!` before an output is the reason the row becomes invalid for.

use super::*;

const CASES: &str = r#"
# transforms       | input                          | output
trim               | text:  a b                     | text:a b
trim               | text:                          | text:
trim               | int:5                          | !cannot take a whole number
trim               | bytes:2061                     | text:a
trim               | bytes:ff                       | !the bytes are not UTF-8 text
lower              | text:ÄB@X.COM                  | text:äb@x.com
upper              | text:straße                    | text:STRASSE
upper              | bool:true                      | !cannot take a boolean
title              | text:ada LOVELACE-king         | text:Ada Lovelace-King
title              | date:0                         | !cannot take a date

string             | text:x                         | text:x
string             | int:-5                         | text:-5
string             | uint:18446744073709551615      | text:18446744073709551615
string             | float:12                       | text:12
string             | float:0.1                      | text:0.1
string             | float:1e300                    | text:1e300
string             | decimal:12345678901234567890.5 | text:12345678901234567890.5
string             | bool:true                      | text:true
string             | date:20484                     | text:2026-01-31
string             | time:30600000000000            | text:08:30:00
string             | instant:1769848200000000000    | text:2026-01-31T08:30:00Z
string             | wall:1769848200000000000       | text:2026-01-31T08:30:00
string             | json:{"a":[1,null]}            | text:{"a":[1,null]}
string             | bytes:6162                     | text:ab
string             | bytes:ff                       | !the bytes are not UTF-8 text

number             | text:12                        | int:12
number             | text:-1.50                     | decimal:-1.5
number             | text:0.1000000000000000055511  | decimal:0.1000000000000000055511
number             | text:1e3                       | int:1000
number             | text:18446744073709551616      | decimal:18446744073709551616
number             | text:1,5                       | !text is not a number
number             | text: 5                        | !text is not a number
number             | text:                          | !text is not a number
number             | text:NaN                       | !text is not a number
number             | text:0x10                      | !text is not a number
trim number        | text: 5                        | int:5
number             | int:5                          | int:5
number             | float:0.5                      | float:0.5
number             | decimal:1.5                    | decimal:1.5
number             | bool:true                      | int:1
number             | date:0                         | !cannot take a date

integer            | text:5                         | int:5
integer            | text:5.0                       | int:5
integer            | text:5.5                       | !text is not a whole number
integer            | text:five                      | !text is not a whole number
integer            | text:9223372036854775808       | uint:9223372036854775808
integer            | text:-99999999999999999999     | decimal:-99999999999999999999
integer            | float:5                        | int:5
integer            | float:9007199254740994         | int:9007199254740994
integer            | float:5.5                      | !is not a whole number
integer            | decimal:7                      | int:7
integer            | decimal:7.5                    | !is not a whole number
integer            | bool:false                     | int:0
integer            | json:[1]                       | !cannot take a list or an object

boolean            | text:Yes                       | bool:true
boolean            | text:ON                        | bool:true
boolean            | text:f                         | bool:false
boolean            | text:0                         | bool:false
boolean            | text:maybe                     | !text is not one of `true false yes no 1 0 t f y n on off`
boolean            | int:1                          | bool:true
boolean            | int:2                          | !is a number other than 1 and 0
boolean            | float:0                        | bool:false
boolean            | decimal:1                      | bool:true
boolean            | bool:false                     | bool:false
boolean            | time:0                         | !cannot take a time of day

json               | text:{"a":1.50}                | json:{"a":1.50}
json               | text:"x"                       | text:x
json               | text:null                      | null
json               | text:{a}                       | !is not valid JSON
json               | int:5                          | int:5
json               | json:[1]                       | json:[1]

sha256             | text:a@example.com             | text:08168cd80dfd534ab0f10af10f1303fe00af2d43ab5c1432360d137f8197e17a
md5                | text:a@example.com             | text:b418773a2c51fb9777a1648346fa7394
sha256             | bytes:61                       | same as:text:a
sha256             | int:5                          | same as:text:5
md5                | decimal:5.5                    | same as:text:5.5

e164               | text:+49 (0) 30 / 123-45.67    | text:+49301234567
e164               | text:0049 30 1234567           | text:+49301234567
e164               | text:+1 (415) 555-2671         | text:+14155552671
e164               | text:+44 (0)20 7946 0018       | text:+442079460018
e164               | text:030 1234567               | !the phone number has no country code
e164               | text:4155552671                | !the phone number has no country code
e164               | text:+0301234567               | !the phone number has no country code
e164               | text:+49 30                    | !the phone number does not have 8 to 15 digits
e164               | text:+1234567890123456         | !the phone number does not have 8 to 15 digits
e164               | text:+49 30 123 ext 5          | !text is not a phone number
e164               | text:                          | !text is not a phone number
e164               | int:49301234567                | !cannot take a whole number

epoch_s            | instant:1769848200999000000    | int:1769848200
epoch_s            | wall:1769848200000000000       | int:1769848200
epoch_s            | instant:-1                     | int:-1
epoch_s            | date:20484                     | int:1769817600
epoch_s            | text:2026-01-31T10:30:00+02:00 | int:1769848200
epoch_s            | text:2026-01-31 08:30:00       | int:1769848200
epoch_s            | text:2026-01-31                | int:1769817600
epoch_s            | text:yesterday                 | !text is not an ISO 8601 date or time
epoch_s            | bool:true                      | !cannot take a boolean
epoch_s            | int:5                          | !cannot take a whole number
epoch_ms           | instant:1769848200123999999    | int:1769848200123
epoch_ms           | date:1                         | int:86400000

iso8601            | instant:1769848200500000000    | text:2026-01-31T08:30:00.5Z
iso8601            | wall:1769848200000000000       | text:2026-01-31T08:30:00
iso8601            | date:20484                     | text:2026-01-31
iso8601            | time:30600000000000            | text:08:30:00
iso8601            | text:2026-01-31 10:30:00+02:00 | text:2026-01-31T08:30:00Z
iso8601            | text:2026-01-31                | text:2026-01-31
iso8601            | text:31.1.2026                 | !text is not an ISO 8601 date or time
iso8601            | float:5                        | !cannot take a floating point number

date               | instant:1769848200000000000    | date:20484
date               | wall:-1                        | date:-1
date               | date:5                         | date:5
date               | text:2026-01-31T23:30:00-05:00 | date:20485
date               | text:2026-01-31                | date:20484
date               | text:soon                      | !text is not an ISO 8601 date or time
date               | time:0                         | !cannot take a time of day

trim lower sha256  | text: A                        | same as:text:a
json               | null                           | null
integer            | null                           | null
sha256             | null                           | null
epoch_s            | null                           | null
"#;

fn value(text: &str) -> Value {
    if text == "null" {
        return Value::Null;
    }
    let (kind, content) = text.split_once(':').expect(text);
    let nanos = || content.parse().expect(text);
    match kind {
        "text" => Value::Text(content.into()),
        "int" => Value::Int(content.parse().expect(text)),
        "uint" => Value::UInt(content.parse().expect(text)),
        "float" => Value::Float(content.parse().expect(text)),
        "decimal" => Value::Decimal(content.into()),
        "bool" => Value::Bool(content == "true"),
        "bytes" => Value::Binary(hex::decode(content).expect(text).into()),
        "date" => Value::Date(content.parse().expect(text)),
        "time" => Value::Time(content.parse().expect(text)),
        "instant" => Value::Timestamp { nanos: nanos(), zoned: true },
        "wall" => Value::Timestamp { nanos: nanos(), zoned: false },
        "json" => json::parse(content).expect(text),
        _ => panic!("unknown type in `{text}`"),
    }
}

#[test]
fn table() {
    let mut wrong = String::new();
    let mut seen = std::collections::BTreeSet::new();
    for line in CASES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut cells = line.splitn(3, " | ");
        let (Some(names), Some(input), Some(expected)) = (cells.next(), cells.next(), cells.next()) else {
            panic!("three cells: {line}")
        };
        let transforms: Vec<Transform> =
            names.split_whitespace().map(|name| serde_json::from_value(name.into()).expect(line)).collect();
        seen.extend(names.split_whitespace());
        // Blanks at the end of a cell are the table's, blanks at its beginning the value's.
        let actual = match apply(&transforms, value(input.trim_end())) {
            Ok(value) => Ok(value),
            Err(message) => Err(message.split_once("`: ").map_or(message.clone(), |(_, reason)| reason.to_owned())),
        };
        let expected = match (expected.strip_prefix('!'), expected.strip_prefix("same as:")) {
            (Some(reason), _) => Err(reason.to_owned()),
            (_, Some(other)) => apply(&transforms[transforms.len() - 1..], value(other)),
            _ => Ok(value(expected)),
        };
        if actual != expected {
            wrong += &format!("{line}\n    got {actual:?}\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    for transform in ALL {
        assert!(seen.contains(word(transform)), "`{}` has no case", word(transform));
    }
}

const ALL: [Transform; 16] = [
    Transform::Trim,
    Transform::Lower,
    Transform::Upper,
    Transform::Title,
    Transform::String,
    Transform::Number,
    Transform::Integer,
    Transform::Boolean,
    Transform::Json,
    Transform::Sha256,
    Transform::Md5,
    Transform::E164,
    Transform::EpochS,
    Transform::EpochMs,
    Transform::Iso8601,
    Transform::Date,
];

#[test]
fn words_are_those_of_the_manifest() {
    for transform in ALL {
        assert_eq!(serde_json::to_value(transform).unwrap(), serde_json::json!(word(transform)));
    }
}

#[test]
fn the_error_names_the_transform() {
    let error = apply(&[Transform::Trim, Transform::Integer], Value::Text("secret".into())).unwrap_err();
    assert_eq!(error, "transform `integer`: text is not a whole number");
}
