//! Files of texts: one a line, or a column of a table.

use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::table::Table;

/// The texts of a file, one a line, or of the named column of a table.
///
/// # Errors
/// [`Failure::Input`] when the file cannot be read, is not UTF-8, has no such column or no text.
pub(crate) fn texts(path: &Path, column: Option<&str>) -> Result<Vec<String>, Failure> {
    if let Some(column) = column {
        let table = Table::open(path)?;
        let Some(index) = table.names().iter().position(|name| name == column) else {
            return Err(table.refuse_header(format!("there is no column `{column}`")));
        };
        return table.texts(index);
    }
    let text = fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the texts `{}`", path.display());
        Failure::Input(anyhow::Error::new(error).context(message))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let texts: Vec<String> = text.lines().map(str::to_owned).collect();
    if texts.is_empty() {
        return Err(Failure::refuse(format!("{}: there are no texts", path.display())));
    }
    Ok(texts)
}
