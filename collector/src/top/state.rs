//! The state of `collector top`, and how keys and news from the collector change it. No I/O, no clock:
//! times are nanoseconds since 1970 (UTC).

use std::collections::{BTreeMap, HashMap, HashSet};

use settings::terminal::{Event, Input, Typed};
use wire::WallNs;
use wire::id::ClientId;

use super::accounts::AccountList;
use super::client::{Opened, TopClient, Traffic};
use super::groups::{Chosen, GroupRows};
use super::order::Sort;
use crate::live::{ClientUpdate, SamplesUpdate, SummaryView, Update};

/// Most clients with visible NICs, because each takes a place among the collector's readers.
const OPENED_MAX: usize = 16;

/// Rows that page keys move by.
const PAGE: usize = 10;

/// How long the order of rows stays unchanged, for readability.
const ARRANGED_NS: u64 = 2_000_000_000;

/// A subscription at the collector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subscription {
    /// All clients, in short.
    All,
    /// One, with its NICs.
    Client(ClientId),
    /// The accounts. They are no stream: they are asked for now and then.
    Accounts,
}

/// An event from the collector.
#[derive(Debug)]
pub(super) enum StreamItem {
    /// All clients.
    All(Update),
    /// Clients that changed, and clients that are gone.
    Changes(Update),
    /// The followed client.
    Client(ClientUpdate),
    /// Samples of the followed client.
    Samples(SamplesUpdate),
    /// The accounts.
    Accounts(AccountList),
    /// The stream has ended for now.
    Lost(String),
}

/// State of the connection to the collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CollectorLink {
    /// Nothing is known yet.
    Connecting,
    /// It sends changes.
    Live,
    /// It doesn't, for this reason.
    Lost(String),
}

/// A row: a client, or one of its NICs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// Its client.
    pub(super) client: &'a str,
    /// `None`: the client itself.
    pub(super) nic: Option<&'a str>,
}

/// The view's state.
#[derive(Debug)]
pub(super) struct State {
    link: CollectorLink,
    now_ns: WallNs,
    /// How far the collector's clock is ahead of this host's.
    ahead_ns: i64,
    chosen: Chosen,
    clients: HashMap<String, TopClient>,
    /// In place of the clients, if they are shown by a tag.
    groups: GroupRows,
    opened: BTreeMap<ClientId, Opened>,
    accounts: AccountList,
    /// The visible clients or groups.
    order: Vec<String>,
    arranged_ns: WallNs,
    sort: Sort,
    search: String,
    typing: bool,
    paused: bool,
    /// The selected row, and its last position.
    selected: Option<(String, Option<String>)>,
    place: usize,
}

impl State {
    /// Nothing yet.
    pub(super) fn new(chosen: Chosen) -> Self {
        Self {
            link: CollectorLink::Connecting,
            now_ns: WallNs(0),
            ahead_ns: 0,
            chosen,
            clients: HashMap::new(),
            groups: GroupRows::default(),
            opened: BTreeMap::new(),
            accounts: AccountList::none(),
            order: Vec::new(),
            arranged_ns: WallNs(0),
            sort: Sort::default(),
            search: String::new(),
            typing: false,
            paused: false,
            selected: None,
            place: 0,
        }
    }

    /// The accounts.
    pub(super) const fn accounts(&self) -> &AccountList {
        &self.accounts
    }

    /// The subscriptions needed; none while paused, which costs the collector nothing.
    pub(super) fn followed(&self) -> impl Iterator<Item = Subscription> {
        let opened = self.opened.keys().cloned().map(Subscription::Client);
        let first = [Subscription::All, Subscription::Accounts].into_iter();
        first.chain(opened).filter(|_| !self.paused)
    }

    /// Processes an event from the collector.
    pub(super) fn told(&mut self, followed: &Subscription, told: StreamItem, now_ns: WallNs) {
        if self.paused {
            return;
        }
        let opened = match followed {
            Subscription::All | Subscription::Accounts => None,
            Subscription::Client(client) => self.opened.get_mut(client),
        };
        match (told, opened) {
            (StreamItem::All(update), _) => {
                let known: HashSet<&str> =
                    update.clients.iter().map(|client| client.client.as_str()).collect();
                self.clients.retain(|id, _| known.contains(id.as_str()));
                self.update(update, now_ns);
                self.arrange();
            }
            (StreamItem::Changes(update), _) => self.update(update, now_ns),
            (StreamItem::Client(update), Some(opened)) => opened.set(update.client),
            (StreamItem::Samples(update), Some(opened)) => opened.add(&update.samples),
            (StreamItem::Lost(why), Some(opened)) => opened.refuse(why),
            (StreamItem::Accounts(accounts), _) => self.accounts = accounts,
            (StreamItem::Lost(_), None) if *followed == Subscription::Accounts => {
                self.accounts = AccountList::none();
            }
            (StreamItem::Lost(why), None) if *followed == Subscription::All => {
                self.link = CollectorLink::Lost(why)
            }
            // The client was closed in the meantime.
            (StreamItem::Client(_) | StreamItem::Samples(_) | StreamItem::Lost(_), None) => {}
        }
        self.tick(now_ns);
    }

    fn update(&mut self, update: Update, now_ns: WallNs) {
        self.link = CollectorLink::Live;
        self.ahead_ns = update.now.0.wrapping_since(now_ns).cast_signed();
        let mut came_or_went = !update.gone.is_empty();
        for id in &update.gone {
            self.clients.remove(id);
        }
        for summary in update.clients {
            match self.clients.get_mut(&summary.client) {
                Some(client) => client.update(summary),
                None => {
                    came_or_went = true;
                    self.clients.insert(summary.client.clone(), TopClient::new(summary));
                }
            }
        }
        if came_or_went {
            self.arrange();
        }
    }

    /// Advances the time, even without events.
    pub(super) fn tick(&mut self, now_ns: WallNs) {
        if self.paused {
            return;
        }
        self.now_ns = now_ns.saturating_add_signed(self.ahead_ns);
        self.regroup();
        if self.now_ns.abs_diff(self.arranged_ns) > ARRANGED_NS {
            self.arrange();
        }
    }

    /// Handles a key. False if it quits.
    pub(super) fn input(&mut self, event: &Event) -> bool {
        if self.typing {
            return self.type_in(event);
        }
        let Some(input) = Input::of(event) else { return true };
        match input {
            Input::Quit => return false,
            Input::Back if self.search.is_empty() => return false,
            Input::Back => {
                self.search.clear();
                self.arrange();
            }
            Input::Up => self.select(self.place.saturating_sub(1)),
            Input::Down => self.select(self.place + 1),
            Input::PageUp => self.select(self.place.saturating_sub(PAGE)),
            Input::PageDown => self.select(self.place + PAGE),
            Input::First => self.select(0),
            Input::Last => self.select(usize::MAX),
            Input::Open => self.open_or_close(),
            Input::Pause => self.paused = !self.paused,
            Input::Sort => self.sort_by(self.sort.next()),
            Input::Reverse => self.sort_by(self.sort.reversed()),
            Input::Search => self.typing = true,
        }
        true
    }

    fn type_in(&mut self, event: &Event) -> bool {
        match Typed::of(event) {
            Some(Typed::Quit) => return false,
            Some(Typed::Char(typed)) => self.search.push(typed),
            Some(Typed::Erase) => drop(self.search.pop()),
            Some(Typed::Done) => self.typing = false,
            Some(Typed::Cancel) => {
                self.typing = false;
                self.search.clear();
            }
            None => {}
        }
        self.arrange();
        true
    }

    fn sort_by(&mut self, sort: Sort) {
        self.sort = sort;
        self.arrange();
    }

    /// Selects the row at a position, or the last one.
    fn select(&mut self, place: usize) {
        let rows = self.rows();
        let place = place.min(rows.len().saturating_sub(1));
        let row = rows.get(place);
        let selected = row.map(|row| (row.client.to_owned(), row.nic.map(str::to_owned)));
        (self.selected, self.place) = (selected, place);
    }

    /// Shows or hides the NICs of the selected client.
    fn open_or_close(&mut self) {
        let Some(client) = self.selected.as_ref().map(|(client, _)| client.clone()) else { return };
        if self.chosen.by.is_some() {
            return;
        }
        // An invalid id can't be requested.
        let Ok(id) = ClientId::new(&client) else { return };
        if self.opened.remove(&id).is_some() {
            self.selected = Some((client, None));
            self.settle();
        } else if self.opened.len() < OPENED_MAX {
            self.opened.insert(id, Opened::default());
        }
    }

    /// Sums the groups anew, if there are any.
    fn regroup(&mut self) {
        if let Some(by) = &self.chosen.by {
            let chosen = self.clients.values().filter(|client| self.chosen.has(client));
            self.groups.update(by, chosen, self.now_ns);
        }
    }

    /// Sorts the rows, and removes those that don't match the search.
    fn arrange(&mut self) {
        self.arranged_ns = self.now_ns;
        self.regroup();
        let wanted = self.search.trim().to_lowercase();
        let found = |summary: &SummaryView| {
            let name = format!("{} {}", summary.client, summary.alias);
            name.to_lowercase().contains(&wanted)
        };
        let mut shown: Vec<&TopClient> = match self.chosen.by {
            Some(_) => self.groups.iter().collect(),
            None => self.clients.values().filter(|client| self.chosen.has(client)).collect(),
        };
        shown.retain(|row| found(row.summary()));
        shown.sort_by(|a, b| self.sort.compare(a, b, self.now_ns));
        self.order = shown.iter().map(|client| client.summary().client.clone()).collect();
        self.settle();
    }

    /// Finds the selected row again; if it is gone, selects the row at its position.
    fn settle(&mut self) {
        let rows = self.rows();
        let is_selected = |row: &Row<'_>| {
            self.selected.as_ref().is_some_and(|(client, nic)| {
                row.client == client.as_str() && row.nic == nic.as_deref()
            })
        };
        match rows.iter().position(is_selected) {
            Some(place) => self.place = place,
            None => self.select(self.place),
        }
    }

    /// All rows, clients in their order.
    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::with_capacity(self.order.len());
        for client in self.order.iter().map(String::as_str) {
            rows.push(Row { client, nic: None });
            let nics = self.opened(client).into_iter().flat_map(Opened::names);
            rows.extend(nics.map(|nic| Row { client, nic: Some(nic) }));
        }
        rows
    }

    /// The position of the selected row.
    pub(super) const fn place(&self) -> usize {
        self.place
    }

    /// A client, or a group in its place.
    pub(super) fn client(&self, id: &str) -> Option<&TopClient> {
        if self.chosen.by.is_some() { self.groups.get(id) } else { self.clients.get(id) }
    }

    /// A client with visible NICs.
    pub(super) fn opened(&self, id: &str) -> Option<&Opened> {
        if self.opened.is_empty() {
            return None;
        }
        self.opened.get(&ClientId::new(id).ok()?)
    }

    /// Number of chosen clients, number of connected ones, and the sum of their traffic.
    pub(super) fn sum(&self) -> (usize, usize, Traffic) {
        let chosen = || self.clients.values().filter(|client| self.chosen.has(client));
        let up = chosen().filter(|client| client.summary().up);
        let live = chosen().filter(|client| client.is_live(self.now_ns));
        let traffic = live.fold(Traffic::default(), |sum, client| sum.with(&client.traffic()));
        (chosen().count(), up.count(), traffic)
    }

    /// Which clients are shown, and how.
    pub(super) const fn chosen(&self) -> &Chosen {
        &self.chosen
    }

    pub(super) const fn link(&self) -> &CollectorLink {
        &self.link
    }

    /// Now, by the collector's clock.
    pub(super) const fn now_ns(&self) -> WallNs {
        self.now_ns
    }

    pub(super) const fn sort(&self) -> Sort {
        self.sort
    }

    /// The search text, and true while it is being typed.
    pub(super) fn search(&self) -> (&str, bool) {
        (&self.search, self.typing)
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.paused
    }
}
