//! Amounts in minor units as people write them. Which currency has how many minor digits is
//! ISO 4217; a price of 1,000 yen shown as ¥10.00 would be a false advertisement.

/// Digits of the minor unit: two, but for those listed by ISO 4217 with another exponent.
pub fn minor_digits(currency: &str) -> usize {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// `€1,299.00`, `¥1,299`, `KWD 1.299`: a sign where one is unmistakable, else the code.
pub fn format_money(amount: i64, currency: &str) -> String {
    let digits = minor_digits(currency);
    let scale = 10_u64.pow(digits as u32);
    let size = amount.unsigned_abs();
    let mut text = String::with_capacity(24);
    if amount < 0 {
        text.push('\u{2212}');
    }
    match currency {
        "EUR" => text.push('€'),
        "GBP" => text.push('£'),
        "JPY" => text.push('¥'),
        "USD" => text.push('$'),
        code => {
            text.push_str(code);
            text.push('\u{a0}');
        }
    }
    text.push_str(&grouped(size / scale));
    if digits > 0 {
        text.push_str(&format!(".{:0digits$}", size % scale));
    }
    text
}

/// `12,345`: thousands apart, for amounts and for counts.
pub fn grouped(number: u64) -> String {
    let plain = number.to_string();
    let mut text = String::with_capacity(plain.len() + plain.len() / 3);
    for (place, digit) in plain.chars().enumerate() {
        if place > 0 && (plain.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_follow_their_currency() {
        let rows: [(i64, &str, &str); 11] = [
            (0, "EUR", "€0.00"),
            (5, "EUR", "€0.05"),
            (129_900, "EUR", "€1,299.00"),
            (100_000_000, "GBP", "£1,000,000.00"),
            (1_299, "USD", "$12.99"),
            (1_299, "JPY", "¥1,299"),
            (1_299, "KWD", "KWD\u{a0}1.299"),
            (7, "KWD", "KWD\u{a0}0.007"),
            (1_299, "CHF", "CHF\u{a0}12.99"),
            (-450, "EUR", "\u{2212}€4.50"),
            (i64::MIN, "JPY", "\u{2212}¥9,223,372,036,854,775,808"),
        ];
        for (amount, currency, expected) in rows {
            assert_eq!(
                format_money(amount, currency),
                expected,
                "{amount} {currency}"
            );
        }
    }
}
