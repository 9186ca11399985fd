//! `id`: who this home speaks for.

use serde_json::json;

use crate::args::IdArgs;
use crate::failure::{Exit, Failure};
use crate::identity::{load_card, load_charter};
use crate::output::{Colour, Format, Printer};
use crate::session::Session;

pub(super) fn run(session: &Session, args: IdArgs) -> Result<Exit, Failure> {
    let card = load_card(&session.home)?;
    let charter = load_charter(&session.home)?;
    let printer = if args.json { Printer::new(Format::Json, Colour::Never) } else { session.printer.clone() };
    let devices: Vec<_> = card
        .devices
        .iter()
        .map(|device| {
            json!({
                "key": device.key.to_string(),
                "publishes": device.publishes,
                "node": device.is_node,
                "label": device.label,
            })
        })
        .collect();
    printer.object(
        "id/1",
        json!({
            "organisation": card.org.to_string(),
            "name": card.name,
            "root_keys": card.root_keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "devices": devices,
            "endpoints": card.endpoints,
            "network": charter.as_ref().map(|charter| charter.network.to_string()),
            "network_name": charter.as_ref().map(|charter| charter.text.name.clone()),
            "home": session.home.display().to_string(),
        }),
    )?;
    printer.line(&format!("{}  {}", card.org, card.name))?;
    if args.full {
        for key in &card.root_keys {
            printer.line(&format!("root key   {key}"))?;
        }
        for device in &card.devices {
            let roles = [(device.publishes, "publishes"), (device.is_node, "node")];
            let roles: Vec<&str> = roles.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
            printer.line(&format!("device     {}  {}  {}", device.key, roles.join(", "), device.label))?;
        }
        for endpoint in &card.endpoints {
            printer.line(&format!("endpoint   {endpoint}"))?;
        }
        match &charter {
            Some(charter) => printer.line(&format!("network    {}  {}", charter.network, charter.text.name))?,
            None => printer.line("network    none yet")?,
        }
        printer.line(&format!("home       {}", session.home.display()))?;
    }
    Ok(Exit::Done)
}
