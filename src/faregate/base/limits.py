"""Every limit in one place, tested at the limit and one past it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

MAX_API_BODY_BYTES: Final = 1 << 20
"""A management API request body."""

MAX_COLLECTOR_BODY_BYTES: Final = 12 << 20
"""A collector request body as sent (agents batch up to 200 events)."""

MAX_EVENT_BYTES: Final = 1 << 20
"""One event, decoded from its batch."""

MAX_EVENTS_PER_BATCH: Final = 5_000
"""Events in one collector request."""

MAX_ROUTE_REQUEST_BYTES: Final = 32 << 20
"""The largest `max_request_bytes` a route may set."""

DEFAULT_ROUTE_REQUEST_BYTES: Final = 8 << 20
"""A route's `max_request_bytes` when it names none."""

MAX_ATTEMPTS: Final = 5
"""How often a route may have one call sent."""

MAX_USAGE_EVENT_BYTES: Final = 4 << 20
"""The largest single server-sent event whose usage is read."""

MAX_NAME_CHARACTERS: Final = 200
MAX_ID_CHARACTERS: Final = 128
MAX_PATTERN_CHARACTERS: Final = 1_000
MAX_FIELD_PATH_CHARACTERS: Final = 200
MAX_CONDITIONS: Final = 50
MAX_CONDITION_VALUES: Final = 1_000
"""Values that one `in` may list."""
MAX_FILTER_DEPTH: Final = 10
MAX_FILTER_CHARACTERS: Final = 20_000
MAX_EXPRESSION_CHARACTERS: Final = 1_000
MAX_EXPRESSION_FIELDS: Final = 20
MAX_GROUP_FIELDS: Final = 5
MAX_GROUP_VALUE_CHARACTERS: Final = 100
"""What is kept of a field's value that usage is grouped by."""
MAX_EVENT_WEIGHT: Final = 1_000_000
"""Calls that one sampled event may stand for."""
MAX_TRIAL_RANGE: Final = timedelta(days=400)
"""How much time a meter may be tried or filled on at once."""
MAX_TRIAL_SAMPLES: Final = 10
"""Events of each kind that a trial shows."""
MAX_TRIAL_WINDOWS: Final = 10_000
"""Usage windows that a trial shows."""
MAX_COST_RATES: Final = 50
"""Kinds of units that one cost price may name."""
MAX_COSTS: Final = 5_000
"""Versions of cost prices that an application may have."""
MAX_BREAKAGE_RANGE: Final = timedelta(days=400)
"""How much time one report of ended credit is about."""

MAX_MARGIN_RANGE: Final = timedelta(days=400)
"""How much time one report of margins is about."""
MAX_UNIQUE_VALUES: Final = 100_000
"""Different values that one total of a unique count keeps."""
MAX_DETAIL_CHARACTERS: Final = 500
"""What is kept of an explanation beside an event that was set aside."""

MAX_LEDGER_UNITS: Final = (1 << 63) - 1
"""Amounts are stored in signed 64-bit columns."""

MAX_QUANTITY_DIGITS: Final = 30
"""Digits of a metered quantity, before and after the point together."""

MAX_PACKAGE_AMOUNT: Final = 1_000_000_000
"""Major units that one package may cost: fits the ledger in every currency."""

MAX_TIERS: Final = 100
MAX_TABLE_ROWS: Final = 1_000
"""Rows of a price by dimension."""

MAX_DIMENSION_FIELDS: Final = 4
MAX_DISCOUNTS: Final = 10
MAX_CURRENCIES: Final = 50

MAX_GRANTS: Final = 500
"""Grants of a subscription that are not used up: each debit looks at all of them."""

MAX_COUPONS: Final = 20
"""Coupons that a subscription has at once."""

MAX_COUPON_PERIODS: Final = 1_200
MAX_COUPON_REDEMPTIONS: Final = 1_000_000_000
MAX_DIMENSION_VALUE_CHARACTERS: Final = 200

MAX_AMOUNT_PLACES: Final = 12
"""Decimal places of a price's amount."""

MAX_PACKAGE_SIZE: Final = 10**15
"""Units in one package."""

EVENT_YEARS: Final = range(1970, 9999)
"""Years that an event may be dated in: the zones, windows and periods around them can all be written."""

MAX_LEASE_UNITS: Final = 1_000_000_000_000
"""Units one lease request may ask for."""

APPLY_BATCH_EVENTS: Final = 2_000
"""Events metered in one transaction."""

PAGE_ROWS: Final = 100
"""Rows of a list answer when the caller names no limit."""

MAX_PAGE_ROWS: Final = 1_000

MAX_USAGE_ROWS: Final = 5_000
"""Rows of usage in one answer: ten meters by day for a year."""

EVENT_AHEAD_TOLERANCE: Final = timedelta(minutes=5)
"""An event further ahead of the server is set aside and shown."""

WINDOW_CLOSE_GRACE: Final = timedelta(seconds=60)
"""A usage window is closed this long after its end."""

LEASE_DURATION_MS: Final = 30_000
"""How long a gateway may hold from a lease; it stops at 80 % of this."""

PROVIDER_HORIZON: Final = timedelta(days=35)
"""Usage older than this is kept and flagged, not billed: the provider would refuse it."""

MAX_CLOCK_AHEAD: Final = timedelta(days=3_660)
"""How far an application's business time may run ahead of the wall clock."""

UNRETURNED_UNITS_GRACE: Final = timedelta(hours=1)
"""A billing period with units still out in leases is closed this long after its end, and not before."""

MAX_PERIODS_AHEAD: Final = 100
"""How many periods ahead of the open one an invoice may be previewed."""

ACCOUNTS_PER_TICK: Final = 1_000
"""Accounts whose grants begin or end in one pass of the tick."""

WINDOWS_PER_TRANSACTION: Final = 1_000
"""Usage windows closed in one transaction."""

DELIVERY_BATCH_ROWS: Final = 200
"""Outbox rows of one subscription that are delivered before they are marked."""

DELIVERY_TURNS: Final = 64
"""Customers whose messages are read ahead of the threads that deliver them."""

DELIVERY_THREADS: Final = 16
"""Customers whose messages are delivered at the same time."""

PROVIDER_TIMEOUT_S: Final = 30
"""How long a batch of calls to the billing provider may take."""

MAX_REPORT_KEY_CHARACTERS: Final = 90
"""The key of a report of usage; Stripe takes identifiers of 100 characters, and a resend adds to it."""

MAX_RATE_UNITS: Final = 10**12
"""Requests or tokens that a rate limit may let through in a minute."""

MAX_ALERT_PERCENT: Final = 1_000
MAX_ALERT_PERCENTS: Final = 20
"""Percentages of one limit that an alert is raised at."""

MAX_LIMIT_ROUTES: Final = 50
"""Patterns that one limit may name."""

MAX_ALERT_ATTEMPTS: Final = 50
"""How often delivering an alert is tried: about four hours, since the pauses grow to five minutes."""

ALERT_TIMEOUT_S: Final = 15
"""How long one delivery of an alert may take."""

MAX_WEBHOOK_BODY_BYTES: Final = 1 << 20
"""One webhook of the billing provider."""

WEBHOOK_TOLERANCE: Final = timedelta(seconds=300)
"""How long ago the billing provider may have signed a webhook."""

MAX_EVENT_ATTEMPTS: Final = 100
"""How often an event of the billing provider is worked on before it has failed: about eight hours."""
