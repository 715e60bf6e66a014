//! A table of a report, as each of its shapes shows it: on a page here, on a terminal where it was
//! made.

use crate::escape;
use std::fmt::Write;

/// Rows of cells under a title. The first cell names, the others are figures.
#[derive(Clone, Debug)]
pub struct Section {
    pub title: &'static str,
    pub head: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

impl Section {
    /// As HTML; words of a verdict have its colour.
    #[must_use]
    pub fn html(&self) -> String {
        let wide = self.rows.iter().any(|row| row.len() > 3);
        let class = if wide { " class=\"wide\"" } else { "" };
        let mut out = format!(
            "<section{class}><h2>{}</h2><div class=\"scroll\"><table>",
            escape(self.title)
        );
        if !self.head.is_empty() {
            out.push_str("<thead><tr>");
            for cell in &self.head {
                // Writing to a string cannot fail.
                _ = write!(out, "<th>{}</th>", escape(cell));
            }
            out.push_str("</tr></thead>");
        }
        out.push_str("<tbody>");
        for row in &self.rows {
            out.push_str("<tr>");
            for (index, cell) in row.iter().enumerate() {
                let cell = escape(cell);
                _ = match cell.as_str() {
                    "holds" => write!(out, "<td class=\"good\">holds</td>"),
                    "BROKEN" => write!(out, "<td class=\"bad\">BROKEN</td>"),
                    "NOT MET" => write!(out, "<td class=\"none\">NOT MET</td>"),
                    _ if index == 0 => write!(out, "<th scope=\"row\">{cell}</th>"),
                    _ => write!(out, "<td>{cell}</td>"),
                };
            }
            out.push_str("</tr>");
        }
        out.push_str("</tbody></table></div></section>\n");
        out
    }
}
