//! Figures as a table that reads well in a terminal.

/// Prints rows of columns: words to the left, numbers to the right.
pub fn print(heading: &[&str], rows: &[Vec<String>]) {
    let columns = heading.len();
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let words: Vec<bool> = (0..columns)
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .any(|cell| is_words(cell))
        })
        .collect();
    let print_row = |cells: &mut dyn Iterator<Item = &str>| {
        let line: Vec<String> = cells
            .take(columns)
            .zip(widths.iter().zip(&words))
            .map(|(cell, (width, words))| match words {
                true => format!("{cell:<width$}"),
                false => format!("{cell:>width$}"),
            })
            .collect();
        println!("  {}", line.join("  ").trim_end());
    };
    println!();
    print_row(&mut heading.iter().copied());
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    print_row(&mut rules.iter().map(String::as_str));
    for row in rows {
        print_row(&mut row.iter().map(String::as_str));
    }
    println!();
}

/// Whether a cell begins like neither a number nor the dash that stands for none.
fn is_words(cell: &str) -> bool {
    cell.starts_with(|first: char| !first.is_ascii_digit() && first != '-')
}
