//! A pairing address as a QR code (ISO/IEC 18004): for a console in blocks, for a page as SVG.

use qrcode::render::{svg, unicode};
use qrcode::{EcLevel, QrCode};

/// For a text console, two modules a character, with the quiet zone that readers need. Dark on light: most consoles are
/// light on dark, so what is printed are the light modules.
pub fn blocks(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let picture = code
        .render::<unicode::Dense1x2>()
        .dark_color(unicode::Dense1x2::Light)
        .light_color(unicode::Dense1x2::Dark)
        .build();
    Some(picture)
}

/// For a page.
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let picture = code
        .render::<svg::Color<'_>>()
        .min_dimensions(240, 240)
        .build();
    Some(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://heron.example:8443/pair/0123ABCD";

    #[test]
    fn an_address_fits_a_console_of_80_columns() {
        let blocks = blocks(PAGE).unwrap();
        assert!(blocks.lines().all(|line| line.chars().count() <= 45));
        assert!(blocks.lines().count() <= 24, "{}", blocks.lines().count());
        assert!(blocks.contains('█'));
    }

    #[test]
    fn a_page_gets_a_picture() {
        let svg = svg(PAGE).unwrap();
        assert!(svg.contains("<svg") && svg.trim_end().ends_with("</svg>"));
    }
}
