//! Values of other people's columns as JSON.

use std::fmt::Write as _;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};

use super::json::quoted;

/// Nesting beyond this is refused.
const MAX_DEPTH: usize = 32;

/// Whether values of this type have a JSON form.
#[expect(clippy::wildcard_enum_match_arm, reason = "every other type has no form")]
pub(super) fn is_representable(kind: &DataType, depth: usize) -> bool {
    match kind {
        DataType::Null
        | DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Date32
        | DataType::Decimal128(..)
        | DataType::Timestamp(_, _) => true,
        DataType::List(item) | DataType::FixedSizeList(item, _) => {
            depth < MAX_DEPTH && is_representable(item.data_type(), depth + 1)
        }
        DataType::Struct(fields) => {
            let fits = |kind: &DataType| is_representable(kind, depth + 1);
            depth < MAX_DEPTH && fields.iter().all(|field| fits(field.data_type()))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => match fields.as_ref() {
                [key, value] => {
                    depth < MAX_DEPTH
                        && key.data_type() == &DataType::Utf8
                        && is_representable(value.data_type(), depth + 1)
                }
                _ => false,
            },
            _ => false,
        },
        _ => false,
    }
}

/// Writes the value in a row as JSON. `Err` says what cannot be written.
#[expect(clippy::wildcard_enum_match_arm, reason = "see is_representable")]
pub(super) fn write(array: &ArrayRef, row: usize, out: &mut String) -> Result<(), &'static str> {
    macro_rules! number {
        ($kind:ty) => {{
            let value = array.as_primitive::<$kind>().value(row);
            let _ = write!(out, "{value}");
            Ok(())
        }};
    }
    if array.is_null(row) || array.data_type() == &DataType::Null {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        DataType::Boolean => {
            out.push_str(if array.as_boolean().value(row) { "true" } else { "false" });
            Ok(())
        }
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float16 => float(array.as_primitive::<Float16Type>().value(row).to_f64(), out),
        DataType::Float32 => float(array.as_primitive::<Float32Type>().value(row).into(), out),
        DataType::Float64 => float(array.as_primitive::<Float64Type>().value(row), out),
        DataType::Decimal128(_, scale) => {
            let value = array.as_primitive::<Decimal128Type>().value(row);
            let _ = write!(out, "{value}e{}", -i32::from(*scale));
            Ok(())
        }
        DataType::Utf8 => {
            out.push_str(&quoted(array.as_string::<i32>().value(row)));
            Ok(())
        }
        DataType::Date32 => {
            let days = i64::from(array.as_primitive::<Date32Type>().value(row));
            out.push_str(&quoted(&date(days).ok_or("a date beyond the year 9999")?));
            Ok(())
        }
        DataType::Timestamp(unit, zone) => {
            let micros = micros(array, row, *unit)?;
            let text = time(micros, zone.is_some()).ok_or("a time beyond the year 9999")?;
            out.push_str(&quoted(&text));
            Ok(())
        }
        DataType::List(_) => list(&array.as_list::<i32>().value(row), out),
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row), out),
        DataType::Struct(_) => {
            let array = array.as_struct();
            let pairs = array.column_names().into_iter().zip(array.columns());
            object(pairs.map(|(name, column)| (quoted(name), column, row)), out)
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
            object((0..entries.len()).map(|at| (quoted(keys.value(at)), values, at)), out)
        }
        _ => Err("a value of a type without a JSON form"),
    }
}

fn float(value: f64, out: &mut String) -> Result<(), &'static str> {
    if !value.is_finite() {
        return Err("a number that is not finite");
    }
    let _ = write!(out, "{value:e}");
    Ok(())
}

fn list(items: &ArrayRef, out: &mut String) -> Result<(), &'static str> {
    out.push('[');
    for row in 0..items.len() {
        if row > 0 {
            out.push(',');
        }
        write(items, row, out)?;
    }
    out.push(']');
    Ok(())
}

fn object<'a>(
    members: impl Iterator<Item = (String, &'a ArrayRef, usize)>,
    out: &mut String,
) -> Result<(), &'static str> {
    out.push('{');
    for (at, (name, column, row)) in members.enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&name);
        out.push(':');
        write(column, row, out)?;
    }
    out.push('}');
    Ok(())
}

/// The time in a row, in microseconds since 1970. Finer ones, and those out of range, are refused.
pub(super) fn micros(array: &ArrayRef, row: usize, unit: TimeUnit) -> Result<i64, &'static str> {
    const RANGE: &str = "a time out of range";
    match unit {
        // Parquet has no seconds.
        TimeUnit::Second => Err(RANGE),
        TimeUnit::Millisecond => {
            let value = array.as_primitive::<TimestampMillisecondType>().value(row);
            value.checked_mul(1_000).ok_or(RANGE)
        }
        TimeUnit::Microsecond => Ok(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        TimeUnit::Nanosecond => {
            let value = array.as_primitive::<TimestampNanosecondType>().value(row);
            if value % 1_000 == 0 {
                Ok(value / 1_000)
            } else {
                Err("a time finer than microseconds")
            }
        }
    }
}

/// `YYYY-MM-DD` of a day counted from 1970-01-01, within the years 1 to 9999.
fn date(days: i64) -> Option<String> {
    // Years begin in March here, so that the leap day is the last; eras are 400 years.
    let shifted = days.checked_add(719_468)?;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (1..=9999).contains(&year).then(|| format!("{year:04}-{month:02}-{day_of_month:02}"))
}

/// The time as text with microseconds, with `Z` if it is a moment and not a wall clock's reading.
fn time(micros: i64, is_moment: bool) -> Option<String> {
    const DAY: i64 = 86_400_000_000;
    let date = date(micros.div_euclid(DAY))?;
    let within = micros.rem_euclid(DAY);
    let (seconds, fraction) = (within / 1_000_000, within % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let zone = if is_moment { "Z" } else { "" };
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}.{fraction:06}{zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times_are_those_of_the_calendar() {
        assert_eq!(date(0).unwrap(), "1970-01-01");
        assert_eq!(date(11_016).unwrap(), "2000-02-29");
        assert_eq!(date(-25_567).unwrap(), "1900-01-01");
        assert_eq!(date(2_932_896).unwrap(), "9999-12-31");
        assert!(date(2_932_897).is_none() && date(i64::MIN).is_none() && date(i64::MAX).is_none());
        assert_eq!(time(-1, true).unwrap(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(time(1_755_012_600_000_001, false).unwrap(), "2025-08-12T15:30:00.000001");
    }
}
