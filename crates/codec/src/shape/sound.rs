//! Whether Avro binary can be taken as it stands, seen without building anything.
//!
//! A record that somebody else has encoded under our very schema need not be read into JSON and written again. This walk
//! accepts less than [`super::decode`] reads: what it does not vouch for goes the long way, which tells why it is refused
//! or writes it in the one form that we write. So the same record, encoded twice, is the same bytes: a map of several
//! entries, whose order is its writer's whim, and arrays in parts are not vouched for.

use uuid::Uuid;

use super::AVRO_BYTES_MAX;
use super::error::Malformed;
use super::input::Input;
use super::kind::{Kind, Record, UuidForm};

/// Seconds around 1970 that RFC 3339 can say: of the years 0 to 9999.
const SECONDS: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;

/// True only if the bytes are exactly one record, every value of which has a JSON form.
pub(super) fn is_sound(record: &Record, avro: &[u8]) -> bool {
    let mut input = Input::new(avro);
    avro.len() <= AVRO_BYTES_MAX && fields(record, &mut input).is_ok_and(|sound| sound) && input.left() == 0
}

fn fields(record: &Record, input: &mut Input<'_>) -> Result<bool, Malformed> {
    for field in &record.fields {
        if !value(&field.kind, input)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn value(kind: &Kind, input: &mut Input<'_>) -> Result<bool, Malformed> {
    input.count_value()?;
    Ok(match kind {
        Kind::Null => true,
        Kind::Boolean => input.byte()? <= 1,
        Kind::Int => input.int().is_ok(),
        Kind::Long => input.long().is_ok(),
        Kind::Float => f32::from_le_bytes(input.array()?).is_finite(),
        Kind::Double => f64::from_le_bytes(input.array()?).is_finite(),
        Kind::String => input.text().is_ok(),
        Kind::Bytes => input.sized().is_ok(),
        Kind::Fixed(size) => input.bytes(*size).is_ok(),
        Kind::Enum(symbols) => input.index(symbols.len()).is_ok(),
        Kind::Date => SECONDS.contains(&(i64::from(input.int()?) * 86_400)),
        Kind::Timestamp(precision) | Kind::LocalTimestamp(precision) => {
            SECONDS.contains(&input.long()?.div_euclid(precision.per_second()))
        }
        Kind::TimeOfDay(precision) => (0..86_400 * precision.per_second()).contains(&input.long()?),
        Kind::Decimal(decimal) => {
            let bytes = match decimal.fixed {
                Some(size) => input.bytes(size)?,
                None => input.sized()?,
            };
            decimal.unscaled(bytes).is_some()
        }
        Kind::Uuid(UuidForm::Text) => Uuid::try_parse(input.text()?).is_ok(),
        Kind::Uuid(UuidForm::Fixed) => input.bytes(16).is_ok(),
        Kind::Uuid(UuidForm::Bytes) => input.sized()?.len() == 16,
        Kind::Array(items) => one_block(input, u64::MAX, |input| value(items, input))?,
        Kind::Map(values) => one_block(input, 1, |input| Ok(input.text().is_ok() && value(values, input)?))?,
        Kind::Record(record) => fields(record, input)?,
        Kind::Nullable(nullable) => {
            input.index(2)? == usize::from(nullable.null_index) || value(&nullable.value, input)?
        }
        Kind::Union(branches) => value(&branches[input.index(branches.len())?], input)?,
    })
}

/// At most `items_max` items of an array or map, in one block that does not say its bytes: a reader may trust the number
/// and pass over.
fn one_block<'a>(
    input: &mut Input<'a>,
    items_max: u64,
    mut item: impl FnMut(&mut Input<'a>) -> Result<bool, Malformed>,
) -> Result<bool, Malformed> {
    let Some(block) = input.block()? else { return Ok(true) };
    if block.bytes.is_some() || block.items > items_max {
        return Ok(false);
    }
    for _ in 0..block.items {
        if !item(input)? {
            return Ok(false);
        }
    }
    Ok(input.block()?.is_none())
}
