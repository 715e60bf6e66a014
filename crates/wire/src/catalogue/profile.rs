//! Whose columns a CSV file has: ours, Shopify's or WooCommerce's, told by the header row. Ours
//! are checked strictly (an unknown column is a typing error); an export has dozens of columns
//! that mean nothing here, so only those that do are looked for.

use super::draft::{Draft, Slot};
use super::html::plain_text;
use super::{Problems, Summary, quoted};

pub(super) struct Sheet {
    names: Vec<String>,
    kind: Kind,
}

enum Kind {
    Own(Vec<Own>),
    Shopify(Box<Shopify>),
    WooCommerce(Box<WooCommerce>),
}

enum Own {
    Slot(Slot),
    Attribute(String),
}

/// `attr_t_product_colour` and `attr_product_colour` are both "product colour".
pub(super) fn attribute_name(name: &str) -> String {
    let typed = ["t_", "n_", "b_"]
        .iter()
        .find_map(|kind| name.strip_prefix(kind));
    typed
        .unwrap_or(name)
        .split('_')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

impl Sheet {
    /// `None` when the header cannot be used; why is in `problems` then.
    pub(super) fn of(line: u64, names: Vec<String>, problems: &mut Problems) -> Option<Sheet> {
        let lower: Vec<String> = names
            .iter()
            .map(|name| name.trim().to_lowercase())
            .collect();
        let columns = Columns(&lower);
        let kind = if let Some(shopify) = Shopify::of(&columns) {
            Kind::Shopify(Box::new(shopify))
        } else if let Some(woo) = WooCommerce::of(&columns) {
            Kind::WooCommerce(Box::new(woo))
        } else if columns.find(&["sku"]).is_some() {
            Kind::Own(own_columns(line, &lower, problems)?)
        } else {
            let expected = "our columns (sku, title, price, …), or a product export of Shopify \
                            (Handle, Title, Variant Price, …) or WooCommerce (SKU, Name, Regular \
                            price, …)";
            problems.add(line, "header", quoted(&names.join(",")), expected);
            return None;
        };
        Some(Sheet { names, kind })
    }

    /// `None` for a row that is no product of its own: `summary` then says why.
    pub(super) fn draft(
        &mut self,
        line: u64,
        fields: Vec<String>,
        summary: &mut Summary,
    ) -> Option<Draft> {
        match &mut self.kind {
            Kind::Own(columns) => Some(own_draft(line, columns, &self.names, fields)),
            Kind::Shopify(shopify) => shopify.draft(
                &Row {
                    line,
                    names: &self.names,
                    fields: &fields,
                },
                summary,
            ),
            Kind::WooCommerce(woo) => woo.draft(
                &Row {
                    line,
                    names: &self.names,
                    fields: &fields,
                },
                summary,
            ),
        }
    }
}

fn own_columns(line: u64, lower: &[String], problems: &mut Problems) -> Option<Vec<Own>> {
    let mut columns = Vec::with_capacity(lower.len());
    let mut good = true;
    for (place, name) in lower.iter().enumerate() {
        if lower[..place].contains(name) {
            problems.add(
                line,
                name,
                "the column twice".to_owned(),
                "each column once",
            );
            good = false;
        }
        match (Slot::of_own_name(name), name.strip_prefix("attr_")) {
            (Some(slot), _) => columns.push(Own::Slot(slot)),
            (None, Some(attribute)) => columns.push(Own::Attribute(attribute_name(attribute))),
            (None, None) => {
                let expected = "a known column (docs/catalogue.md lists them) or attr_…";
                problems.add(line, "header", quoted(name), expected);
                good = false;
            }
        }
    }
    for names in [&["title"][..], &["price", "price_minor"]] {
        if Columns(lower).find(names).is_none() {
            let name = names[0];
            problems.add(
                line,
                "header",
                format!("no column {name}"),
                "sku, title, price",
            );
            good = false;
        }
    }
    good.then_some(columns)
}

fn own_draft(line: u64, columns: &[Own], names: &[String], fields: Vec<String>) -> Draft {
    let mut draft = Draft::new(line);
    for ((column, name), text) in columns.iter().zip(names).zip(fields) {
        match column {
            Own::Slot(slot) => draft.set(*slot, name.trim(), text),
            Own::Attribute(attribute) => draft.attribute(attribute.clone(), text),
        }
    }
    draft
}

/// Column names, trimmed and in lower case.
struct Columns<'a>(&'a [String]);

impl Columns<'_> {
    /// The first column that has one of these names, in the order of the names.
    fn find(&self, names: &[&str]) -> Option<usize> {
        names
            .iter()
            .find_map(|name| self.0.iter().position(|column| column == name))
    }
}

struct Row<'a> {
    line: u64,
    names: &'a [String],
    fields: &'a [String],
}

impl Row<'_> {
    fn get(&self, column: Option<usize>) -> &str {
        column
            .and_then(|column| self.fields.get(column))
            .map_or("", |text| text.trim())
    }

    fn name(&self, column: Option<usize>) -> &str {
        column
            .and_then(|column| self.names.get(column))
            .map_or("", |name| name.trim())
    }

    fn put(&self, draft: &mut Draft, slot: Slot, column: Option<usize>) {
        draft.set(slot, self.name(column), self.get(column).to_owned());
    }

    /// Stock below zero means oversold elsewhere: there is nothing to sell.
    fn put_stock(&self, draft: &mut Draft, column: Option<usize>, summary: &mut Summary) {
        let text = self.get(column);
        let below = text
            .strip_prefix('-')
            .is_some_and(|rest| rest.parse::<f64>().is_ok());
        if below {
            summary.note("stocks below zero, taken as zero");
        }
        draft.set(
            Slot::Stock,
            self.name(column),
            if below { "0" } else { text }.to_owned(),
        );
    }
}

/// One row a variant; the product's own texts stand only in its first row, and further pictures
/// have rows with nothing else.
struct Shopify {
    handle: Option<usize>,
    title: Option<usize>,
    body: Option<usize>,
    vendor: Option<usize>,
    category: Option<usize>,
    published: Option<usize>,
    status: Option<usize>,
    sku: Option<usize>,
    price: Option<usize>,
    stock: Option<usize>,
    picture: Option<usize>,
    variant_picture: Option<usize>,
    options: Vec<(Option<usize>, Option<usize>)>,
    product: Option<ShopifyProduct>,
}

/// What the first row of a product says for all its rows.
struct ShopifyProduct {
    handle: String,
    title: String,
    description: String,
    vendor: String,
    category: String,
    picture: String,
    option_names: Vec<String>,
    left_out: Option<&'static str>,
}

impl Shopify {
    fn of(columns: &Columns<'_>) -> Option<Shopify> {
        let handle = Some(columns.find(&["handle", "url handle"])?);
        let price = Some(columns.find(&["variant price", "price"])?);
        let option = |n: usize, part| columns.find(&[&format!("option{n} {part}")]);
        Some(Shopify {
            handle,
            price,
            title: columns.find(&["title"]),
            body: columns.find(&["body (html)", "body", "description"]),
            vendor: columns.find(&["vendor"]),
            category: columns.find(&["type", "product category"]),
            published: columns.find(&["published", "published on online store"]),
            status: columns.find(&["status"]),
            sku: columns.find(&["variant sku", "sku"]),
            stock: columns.find(&["variant inventory qty", "inventory quantity"]),
            picture: columns.find(&["image src", "product image url"]),
            variant_picture: columns.find(&["variant image", "variant image url"]),
            options: (1..=3)
                .map(|n| (option(n, "name"), option(n, "value")))
                .collect(),
            product: None,
        })
    }

    fn draft(&mut self, row: &Row<'_>, summary: &mut Summary) -> Option<Draft> {
        let handle = row.get(self.handle);
        if self
            .product
            .as_ref()
            .is_none_or(|product| product.handle != handle)
        {
            self.product = Some(self.first_row(row));
        }
        let product = self.product.as_ref()?;
        let (sku, price) = (row.get(self.sku), row.get(self.price));
        if sku.is_empty() && price.is_empty() && row.get(self.title).is_empty() {
            summary.note("rows that only add a picture");
            return None;
        }
        if let Some(reason) = product.left_out {
            summary.note(reason);
            return None;
        }
        let mut draft = Draft::new(row.line);
        if sku.is_empty() {
            draft.set(Slot::Sku, row.name(self.handle), handle.to_owned());
        } else {
            row.put(&mut draft, Slot::Sku, self.sku);
        }
        row.put(&mut draft, Slot::Price, self.price);
        row.put_stock(&mut draft, self.stock, summary);
        draft.set(
            Slot::Description,
            row.name(self.body),
            product.description.clone(),
        );
        draft.set(
            Slot::Category,
            row.name(self.category),
            product.category.clone(),
        );
        draft.set(
            Slot::Picture,
            row.name(self.picture),
            product.picture.clone(),
        );
        row.put(&mut draft, Slot::Picture, self.variant_picture);
        draft.attribute("brand".to_owned(), product.vendor.clone());
        let mut variant = Vec::new();
        for ((_, value), name) in self.options.iter().zip(&product.option_names) {
            let value = row.get(*value);
            if !value.is_empty() && value != "Default Title" {
                draft.attribute(name.clone(), value.to_owned());
                variant.push(value);
            }
        }
        let mut title = product.title.clone();
        if !variant.is_empty() && !title.is_empty() {
            title = format!("{title} – {}", variant.join(" / "));
        }
        draft.set(Slot::Title, row.name(self.title), title);
        Some(draft)
    }

    fn first_row(&self, row: &Row<'_>) -> ShopifyProduct {
        let status = row.get(self.status).to_lowercase();
        let left_out = if !status.is_empty() && status != "active" {
            Some("variants of products that are not active")
        } else if row.get(self.published).eq_ignore_ascii_case("false") {
            Some("variants of products that are not published")
        } else {
            None
        };
        ShopifyProduct {
            handle: row.get(self.handle).to_owned(),
            title: row.get(self.title).to_owned(),
            description: plain_text(row.get(self.body)),
            vendor: row.get(self.vendor).to_owned(),
            category: last_of_path(row.get(self.category)),
            picture: row.get(self.picture).to_owned(),
            option_names: self
                .options
                .iter()
                .map(|(n, _)| row.get(*n).to_owned())
                .collect(),
            left_out,
        }
    }
}

/// "Apparel > Shirts" is "Shirts".
fn last_of_path(path: &str) -> String {
    path.rsplit('>')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// One row a product or a variation.
struct WooCommerce {
    id: Option<usize>,
    kind: Option<usize>,
    sku: Option<usize>,
    name: Option<usize>,
    published: Option<usize>,
    description: Option<usize>,
    short_description: Option<usize>,
    regular_price: Option<usize>,
    sale_price: Option<usize>,
    sale_dates: [Option<usize>; 2],
    in_stock: Option<usize>,
    stock: Option<usize>,
    categories: Option<usize>,
    images: Option<usize>,
    brands: Option<usize>,
    attributes: Vec<(usize, usize)>,
}

/// Attribute columns that are looked for: "Attribute 1 name" and so on.
const WOO_ATTRIBUTES_MAX: usize = 20;

impl WooCommerce {
    fn of(columns: &Columns<'_>) -> Option<WooCommerce> {
        let regular_price = Some(columns.find(&["regular price"])?);
        let attribute = |n: usize| {
            let name = columns.find(&[&format!("attribute {n} name")])?;
            Some((name, columns.find(&[&format!("attribute {n} value(s)")])?))
        };
        Some(WooCommerce {
            regular_price,
            id: columns.find(&["id"]),
            kind: columns.find(&["type"]),
            sku: columns.find(&["sku"]),
            name: columns.find(&["name"]),
            published: columns.find(&["published"]),
            description: columns.find(&["description"]),
            short_description: columns.find(&["short description"]),
            sale_price: columns.find(&["sale price"]),
            sale_dates: [
                columns.find(&["date sale price starts"]),
                columns.find(&["date sale price ends"]),
            ],
            in_stock: columns.find(&["in stock?"]),
            stock: columns.find(&["stock"]),
            categories: columns.find(&["categories"]),
            images: columns.find(&["images"]),
            brands: columns.find(&["brands"]),
            attributes: (1..=WOO_ATTRIBUTES_MAX).filter_map(attribute).collect(),
        })
    }

    fn draft(&self, row: &Row<'_>, summary: &mut Summary) -> Option<Draft> {
        let kind = row
            .get(self.kind)
            .split(',')
            .next()
            .unwrap_or_default()
            .trim()
            .to_lowercase();
        if matches!(kind.as_str(), "variable" | "grouped" | "external") {
            summary.note("variable, grouped and external products (their variations are products)");
            return None;
        }
        if matches!(row.get(self.published), "0" | "-1") {
            summary.note("products that are not published");
            return None;
        }
        let mut draft = Draft::new(row.line);
        row.put(&mut draft, Slot::Sku, self.sku);
        if !draft.has(Slot::Sku) && !row.get(self.id).is_empty() {
            draft.set(
                Slot::Sku,
                row.name(self.id),
                format!("id:{}", row.get(self.id)),
            );
        }
        row.put(&mut draft, Slot::Title, self.name);
        row.put(&mut draft, Slot::Price, self.price_column(row, summary));
        row.put_stock(&mut draft, self.stock, summary);
        if !draft.has(Slot::Stock) && row.get(self.in_stock) == "0" {
            draft.set(Slot::Stock, row.name(self.in_stock), "0".to_owned());
        }
        let long = row.get(self.description);
        let column = if long.is_empty() {
            self.short_description
        } else {
            self.description
        };
        let text = plain_text(&row.get(column).replace("\\n", "\n"));
        draft.set(Slot::Description, row.name(column), text);
        let category = row
            .get(self.categories)
            .split(',')
            .next()
            .unwrap_or_default();
        draft.set(
            Slot::Category,
            row.name(self.categories),
            last_of_path(category),
        );
        let picture = row.get(self.images).split(',').next().unwrap_or_default();
        draft.set(Slot::Picture, row.name(self.images), picture.to_owned());
        draft.attribute("brand".to_owned(), row.get(self.brands).to_owned());
        for (name, value) in &self.attributes {
            let name = row.get(Some(*name)).to_owned();
            draft.attribute(name, row.get(Some(*value)).to_owned());
        }
        Some(draft)
    }

    /// What a buyer pays there now: the sale price, unless it has dates of its own.
    fn price_column(&self, row: &Row<'_>, summary: &mut Summary) -> Option<usize> {
        if row.get(self.sale_price).is_empty() {
            return self.regular_price;
        }
        if self
            .sale_dates
            .iter()
            .any(|column| !row.get(*column).is_empty())
        {
            summary.note("sale prices with dates of their own, not used");
            return self.regular_price;
        }
        self.sale_price
    }
}
