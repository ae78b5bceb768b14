"""The incidents behind the tickets of the ticket-triage task.

One scenario is one product in one situation, told in three or more ways.  Its
severity is that of a household; `make.py` applies the rule for business
premises.  A scenario is also the group of the rows made from it, so all its
tellings land in the same split.

Slots: {p} the product as this customer calls it, {when} a time span that fits
a present-perfect or present-continuous verb, {room} a room, {order} an order
number, {date} a day and month.
"""

from typing import NamedTuple


class Scenario(NamedTuple):
    """One product in one situation."""

    product: str
    key: str
    intent: str
    severity: int
    tellings: tuple[str, ...]


SCENARIOS: tuple[Scenario, ...] = (
    # --- TideGate shut-off valve -------------------------------------------------
    Scenario(
        "VLV-41",
        "split-body",
        "repair",
        1,
        (
            "The {p} has split along the seam and water is spraying over the {room} floor as I type this.",
            "There is a steady stream coming out of the body of the {p}, two buckets full since breakfast and still running.",
            "Water is pouring from the joint where the {p} meets the pipe and the ceiling below has begun to drip.",
        ),
    ),
    Scenario(
        "VLV-41",
        "stuck-shut",
        "repair",
        2,
        (
            "The {p} has been jammed shut {when} and there is not a drop of water at any tap.",
            "Our {p} closed by itself and refuses to open, not with the button and not with the key, so we are completely without water.",
            "No water anywhere. The {p} is stuck in the closed position and only blinks red at me.",
        ),
    ),
    Scenario(
        "VLV-41",
        "slow-closing",
        "repair",
        3,
        (
            "The {p} needs nearly two minutes to close, it used to be ten seconds. It does get there in the end.",
            "When told to shut, the {p} grinds and hesitates, then finally closes on the second or third go.",
            "The motor in the {p} sounds tired {when} and the thing closes far slower than it did when new.",
        ),
    ),
    Scenario(
        "VLV-41",
        "night-closing",
        "repair",
        3,
        (
            "Around three in the morning the {p} shuts for no reason; a press of the button opens it again, but it is getting silly.",
            "The {p} trips at random, twice last night alone. It opens again when asked, so we do have water.",
            "For no cause I can find the {p} keeps closing itself when a shower runs long. Pressing open always brings the water back.",
        ),
    ),
    Scenario(
        "VLV-41",
        "drops-wifi",
        "connect",
        3,
        (
            "Every evening the {p} falls off the wifi and shows as offline until I walk over and wake it. The lever itself works.",
            "The {p} has been greyed out as unreachable {when}, although by hand it opens and closes as it should.",
            "Since we changed the router password the {p} won't come back online, it still turns fine at the pipe.",
        ),
    ),
    Scenario(
        "VLV-41",
        "first-pairing",
        "connect",
        3,
        (
            "I fitted the {p} on {date} and it will not pair, the code on the label is rejected each time. By hand it works.",
            "Setting up the new {p} stops at step four, searching for signal, and never gets any further. It does turn by hand.",
            "Pairing the {p} fails with error E7 every time. The wheel turns, it simply won't join the network.",
        ),
    ),
    Scenario(
        "VLV-41",
        "dead-on-arrival",
        "refund",
        2,
        (
            "The {p} that came on {date} never showed a sign of life, no light, no movement, nothing.",
            "Straight out of the box the {p} was dead. New batteries made no difference and the mains lead didn't either.",
            "I unpacked the {p}, plugged it in and got nothing at all, a lump of lifeless brass.",
        ),
    ),
    Scenario(
        "VLV-41",
        "charged-twice",
        "refund",
        4,
        (
            "My card was charged twice for one {p}, both on {date}. The thing itself works nicely.",
            "There are two payments on my statement for the same {p}, {order}, and only one was ever delivered. That one is fine.",
            "You billed me for two of the {p} when I bought one. Nothing is broken, the sum is just wrong.",
        ),
    ),
    Scenario(
        "VLV-41",
        "spare-key",
        "order",
        4,
        (
            "The manual key for the {p} went missing in the move. All is working, we would just like another key.",
            "Do you sell the little hand crank for the {p} on its own? I need two.",
            "Two spare override keys for the {p}, please, one for us and one for the neighbour.",
        ),
    ),
    Scenario(
        "VLV-41",
        "second-unit",
        "order",
        4,
        (
            "We like the {p} so much that we want a second one for the garden line, 22 mm fittings.",
            "Please quote for one more {p}, same size as {order}, for the supply to the annexe.",
            "The builder has added a new water line, so another {p} is wanted, delivered before the end of the month.",
        ),
    ),
    Scenario(
        "VLV-41",
        "close-by-hand",
        "howto",
        1,
        (
            "A pipe has burst upstairs and water is coming down the stairs! How do I close the {p} by hand with the power off?",
            "Water is running across the {room} right now from a broken pipe. Where is the manual override on the {p}?",
            "Emergency, the pipe behind the wall has gone and it's flooding. Which way do I turn the {p} to close it without the phone?",
        ),
    ),
    Scenario(
        "VLV-41",
        "away-schedule",
        "howto",
        4,
        (
            "We go away on {date}. How do I tell the {p} to stay closed for two weeks and open again on our return?",
            "Where do I find the holiday setting of the {p}? The booklet mentions it without saying where it is.",
            "Is there a way to have the {p} close each night at eleven and open at six? I can't work it out.",
        ),
    ),
    Scenario(
        "VLV-41",
        "cancel-order",
        "cancel",
        4,
        (
            "On {date} I ordered the {p}, {order}, and I no longer want it. It hasn't shipped, so please stop the order.",
            "Kindly call off {order} for the {p}. Our landlord is putting in his own valve.",
            "I need to call off the {p} fitting visit booked for {date}, we've decided against the whole thing.",
        ),
    ),
    # --- Pebble leak sensor ------------------------------------------------------
    Scenario(
        "SNS-12",
        "battery-hot",
        "repair",
        1,
        (
            "The {p} is swelling and too hot to hold, with a sharp smell of chemicals from the battery door.",
            "Smoke came out of the {p} this morning and the plastic underneath is still hot and going brown.",
            "The battery in the {p} is hissing and has scorched the floorboard. I have put it in a metal bucket and I'm frightened of it.",
        ),
    ),
    Scenario(
        "SNS-12",
        "no-life",
        "repair",
        2,
        (
            "The {p} is stone dead, no beep, no light, and three sets of fresh batteries have changed nothing.",
            "Nothing wakes the {p} any more. I pressed test, I put it in a saucer of water, not a peep.",
            "{When} the {p} shows no sign of life whatsoever, even with a brand new cell in it.",
        ),
    ),
    Scenario(
        "SNS-12",
        "false-alarm",
        "repair",
        3,
        (
            "The {p} shrieks at bone dry tiles three times a night. It also catches real water, so it isn't wholly useless.",
            "False alarms from the {p} {when}, on a floor as dry as toast.",
            "Whenever the heating comes on the {p} thinks there's a leak. There is none, I've checked with tissue paper.",
        ),
    ),
    Scenario(
        "SNS-12",
        "faded-case",
        "repair",
        4,
        (
            "The white casing of the {p} has gone yellow in the sun. It works perfectly, it just looks dreadful, can the shell be swapped under warranty?",
            "A purely cosmetic thing: the rubber ring has peeled off the {p}. It still detects water as it ought to, but I'd like it put right.",
            "The logo is flaking off the {p} and leaves specks on the floor. Works as it should otherwise, could it be tidied up under the guarantee?",
        ),
    ),
    Scenario(
        "SNS-12",
        "lost-link",
        "connect",
        3,
        (
            "The {p} under the bath beeps properly when wet, but it lost its link to the network {when}.",
            "My phone says the {p} was last seen nine days ago. Pressing test makes it beep, so only the signal is missing.",
            "It still chirps when I wet it, but the {p} has vanished from the device list and won't be found again.",
        ),
    ),
    Scenario(
        "SNS-12",
        "no-join",
        "connect",
        3,
        (
            "I hold the button for ten seconds as the leaflet says, the {p} flashes blue, then red, and never joins.",
            "Of the three in the box two paired at once, the last {p} just refuses to join though it beeps happily.",
            "Tried to add the {p} on {date} and every scan of the QR code ends in 'device not recognised'. The alarm part works.",
        ),
    ),
    Scenario(
        "SNS-12",
        "missed-a-leak",
        "refund",
        2,
        (
            "The {p} never made a sound when the dishwasher leaked last month. It turns out it had been dead from day one.",
            "I tested the {p} in a full basin and it stayed silent. It has never once worked.",
            "Five weeks of owning the {p} and it won't even switch on, which makes it an expensive pebble for the garden.",
        ),
    ),
    Scenario(
        "SNS-12",
        "wrong-price",
        "refund",
        4,
        (
            "You advertised the {p} at 19.90 and took 29.90 for it, {order}. Good little device, wrong price.",
            "The spring discount was never taken off my {p}. It works well, I just paid ten too much on {date}.",
            "I sent back one unopened {p} on {date}, you confirmed it arrived, and the payment has never come back to me.",
        ),
    ),
    Scenario(
        "SNS-12",
        "more-sensors",
        "order",
        4,
        (
            "Could I buy four more of the {p}? One for each bathroom and one for behind the washing machine.",
            "We want to add a five-pack of the {p}, invoice by e-mail please, same address as {order}.",
            "Looking to get another {p} for the loft. Is it in stock, and what would postage be?",
        ),
    ),
    Scenario(
        "SNS-12",
        "probe-cable",
        "order",
        4,
        (
            "Is the two metre probe cable for the {p} sold separately? I'd take three of them.",
            "Please send one extension lead for the {p} and put it on my account.",
            "I need the clip-on drip plate that goes under the {p}, ours was thrown out by mistake. The device itself is fine.",
        ),
    ),
    Scenario(
        "SNS-12",
        "mute-alarm",
        "howto",
        4,
        (
            "What is the trick to muting the {p} while I mop the floor? I always set it off.",
            "How does one change the alarm tone of the {p} to the quieter one?",
            "Can the {p} be silenced between ten at night and seven, and if so in which menu?",
        ),
    ),
    Scenario(
        "SNS-12",
        "where-to-place",
        "howto",
        4,
        (
            "Where exactly should the {p} lie, beside the boiler or underneath it? The leaflet shows both.",
            "Is it all right to put the {p} on carpet, or does it need a hard floor to notice water?",
            "How far from the washing machine should I place the {p}? I couldn't find a distance anywhere.",
        ),
    ),
    Scenario(
        "SNS-12",
        "cancel-pack",
        "cancel",
        4,
        (
            "Please stop {order}, the six-pack of the {p}. I ordered it twice by accident and one lot is plenty.",
            "I'd like the extended warranty on the {p} ended from {date}, it is not worth it to us.",
            "Kindly withdraw my order of {date} for the {p}, my son has already bought us some.",
        ),
    ),
    # --- Marsh irrigation controller ---------------------------------------------
    Scenario(
        "IRR-70",
        "wont-stop",
        "repair",
        1,
        (
            "The {p} will not switch zone two off, and the water is now coming in under the back door.",
            "All six zones of the {p} are running at once and can't be stopped. The cellar is filling up.",
            "Help, the {p} has been watering nonstop {when} and it's running down the wall into the {room}.",
        ),
    ),
    Scenario(
        "IRR-70",
        "blank-screen",
        "repair",
        2,
        (
            "The display of the {p} is blank, no zone opens, and the fuse is fine. Dead as a doornail.",
            "After the thunderstorm the {p} doesn't power up at all, not even the small green lamp.",
            "The {p} has given up completely {when}, no screen, no clicking of relays, no watering.",
        ),
    ),
    Scenario(
        "IRR-70",
        "one-zone-weak",
        "repair",
        3,
        (
            "Zone three of the {p} only gets half its minutes, the other zones water as programmed.",
            "The {p} skips the vegetable bed about every second day, the rest of the plan runs normally.",
            "One relay in the {p} chatters and that zone comes on weakly. The lawn zones are okay.",
        ),
    ),
    Scenario(
        "IRR-70",
        "clock-drift",
        "repair",
        3,
        (
            "The clock in the {p} loses a quarter of an hour each week, so the lawn gets its water at lunchtime.",
            "However often I set it, the time on the {p} is wrong again within days and the watering wanders along with it.",
            "The rain delay on the {p} sticks at 24 hours now and then, and I have to clear it before it'll water again.",
        ),
    ),
    Scenario(
        "IRR-70",
        "weather-feed",
        "connect",
        3,
        (
            "The {p} no longer picks up the weather forecast, it says 'no server' {when}. The timer keeps going on its own.",
            "Remote control of the {p} is gone. At the box I can still run each zone, but it's offline everywhere else.",
            "My {p} waters on its old timetable and ignores what I set on the phone, the sync stamp is weeks old.",
        ),
    ),
    Scenario(
        "IRR-70",
        "new-router",
        "connect",
        3,
        (
            "A new router went in on {date} and the {p} can't see it, only the neighbour's one turns up in its list.",
            "The {p} asks for a network key and then forgets it again. It runs its stored timetable but won't go online.",
            "With the mesh wifi boxes in place the {p} hops between them and drops off every few minutes. Watering itself goes on.",
        ),
    ),
    Scenario(
        "IRR-70",
        "overwaters",
        "refund",
        3,
        (
            "The {p} waters in pouring rain about half the time in spite of its rain sensor, and I've lost patience with it.",
            "Two seasons of the {p} getting the timing wrong every other day, it waters, but hardly ever when it should.",
            "Half of the promised eight zones of the {p} work and the rest come and go as they please.",
        ),
    ),
    Scenario(
        "IRR-70",
        "wrong-model",
        "refund",
        4,
        (
            "I was sent the eight-zone {p} instead of the four-zone one and charged the dearer price, {order}. Nothing wrong with the box itself.",
            "The shop assistant sold me the {p} although I only have window boxes. It is unopened.",
            "Bought the {p} on {date}, then found the previous owner had left us one. Ours is still sealed.",
        ),
    ),
    Scenario(
        "IRR-70",
        "rain-sensor",
        "order",
        4,
        (
            "The magpies took off with the rain cup that belongs to the {p}. What does a new cup cost? The rest is fine.",
            "I'd like to buy the four-zone extension module for our {p}.",
            "Please put one wall bracket and one weather hood for the {p} in the post to me.",
        ),
    ),
    Scenario(
        "IRR-70",
        "replace-dead",
        "order",
        2,
        (
            "Lightning killed the {p} outright, nothing lights up. I don't want it mended, I want to buy a new one.",
            "The old {p} is totally dead after eleven years and owes us nothing. What would a new one cost, delivered?",
            "Our {p} drowned in the shed and won't start. Please sell me the current model, no need to look at the old.",
        ),
    ),
    Scenario(
        "IRR-70",
        "program-zones",
        "howto",
        4,
        (
            "How do I make the {p} water the roses every third day and the lawn daily?",
            "Could you explain how two start times for a single zone are entered on the {p}?",
            "I can't find how to copy the settings of one zone to another on the {p}.",
        ),
    ),
    Scenario(
        "IRR-70",
        "winter-mode",
        "howto",
        4,
        (
            "What is the right way to put the {p} to bed for the winter? Unplug it, or is there a mode for that?",
            "Does the {p} need to come indoors when it freezes? And how do I keep its programme while it's unplugged?",
            "Frost is forecast for {date}. Which setting on the {p} drains the lines?",
        ),
    ),
    Scenario(
        "IRR-70",
        "cancel-cover",
        "cancel",
        2,
        (
            "The {p} has been completely dead for a month and we've paved the garden anyway, so please end the care contract for it.",
            "Our {p} died, no screen, no zones, and we are not replacing it. Stop the yearly cover on it from {date}.",
            "No point paying cover for a {p} that doesn't switch on any more. Terminate that contract, we don't need it mended.",
        ),
    ),
    # --- Brook under-sink filter -------------------------------------------------
    Scenario(
        "FLT-23",
        "housing-leak",
        "repair",
        1,
        (
            "The housing of the {p} has cracked and the cupboard under the sink is filling with water at this moment.",
            "There is water running out from below the {p}, through the cupboard floor and onto the boards, and tightening makes it worse.",
            "Our Pebble went off and rightly so, the {p} is leaking fast and the {room} is wet from wall to wall.",
        ),
    ),
    Scenario(
        "FLT-23",
        "no-flow",
        "repair",
        2,
        (
            "Nothing comes through the {p} at all. New cartridge in, old cartridge in, not one drop.",
            "The {p} has blocked solid {when} and there's no water at the sink whatsoever.",
            "Since I changed the cartridge the {p} lets no water pass at all, the sink is dry.",
        ),
    ),
    Scenario(
        "FLT-23",
        "odd-taste",
        "repair",
        3,
        (
            "Water from the {p} tastes of swimming pool again, although the cartridge is two weeks old. The lab strip says it's safe.",
            "The {p} lets a trickle through where there used to be a proper flow, it takes an age to fill a kettle.",
            "The {p} makes the water cloudy for the first half litre, after that it clears and tastes all right.",
        ),
    ),
    Scenario(
        "FLT-23",
        "scuffed-head",
        "repair",
        4,
        (
            "The cover cap on the {p} arrived with a long scratch. It filters beautifully, but can I have the cap made good?",
            "Only a cosmetic complaint, the blue paint on the {p} is bubbling at the rim. It works as it should, is that a warranty matter?",
            "The label has slid off the {p} and the cap is scuffed. No effect on the water, still I'd like it seen to under the guarantee.",
        ),
    ),
    Scenario(
        "FLT-23",
        "life-counter",
        "connect",
        3,
        (
            "The filter life of the {p} doesn't reach my phone any more, it says 'no data' {when}. The water is good.",
            "I changed the cartridge and the {p} never told the app, the wireless head seems to be cut off. It filters normally.",
            "The {p} went offline after the kitchen was rewired. Water runs, readings don't.",
        ),
    ),
    Scenario(
        "FLT-23",
        "head-pairing",
        "connect",
        3,
        (
            "The sensor head of the {p} will not pair, it blinks amber for an hour and then goes to sleep. Filtering is okay.",
            "I can't add the {p} to our account, 'already registered to another user'. The water side is fine.",
            "Tried five times to link the {p} and each time the bar stops at 80 per cent. Otherwise it's filtering happily.",
        ),
    ),
    Scenario(
        "FLT-23",
        "never-fitted",
        "refund",
        4,
        (
            "The {p} doesn't fit in our cupboard, it's four centimetres too tall. It's back in its box, never used.",
            "I bought the {p} and the cartridges on {date} before learning that our water is already filtered. Unopened.",
            "You sent, and charged for, two cartridge packs with the {p}, {order}, where I'd asked for none. The filter itself is great.",
        ),
    ),
    Scenario(
        "FLT-23",
        "weak-filter",
        "refund",
        3,
        (
            "Three cartridges in half a year and the {p} still only takes out some of the chalk, the kettle furs up as before.",
            "The {p} slows to a dribble within days of each cartridge change. It filters, barely, and I am done with it.",
            "It was meant to remove the iron taste and the {p} does so about one day in three.",
        ),
    ),
    Scenario(
        "FLT-23",
        "cartridges",
        "order",
        4,
        (
            "Six cartridges for the {p}, please, the fine ones, to the usual address.",
            "What is the part number for the {p} cartridge and can I get a year's worth in one go?",
            "I'd like to reorder the carbon cartridge for the {p}, last bought as {order}.",
        ),
    ),
    Scenario(
        "FLT-23",
        "seal-kit",
        "order",
        4,
        (
            "Can I get a seal kit and the plastic spanner for the {p}? I want them at hand before the next change.",
            "The drip tray of the {p} got thrown away with the old kitchen, I'd like to buy one. Everything is dry and working.",
            "Please sell me a set of the quarter-inch push fittings for the {p}, we are moving the sink next month.",
        ),
    ),
    Scenario(
        "FLT-23",
        "change-cartridge",
        "howto",
        4,
        (
            "Which way does the cartridge in the {p} unscrew, and must the water be off for it?",
            "How many litres should I flush through the {p} after a change before drinking?",
            "The reminder says 'change soon'. How do I reset it on the {p} afterwards?",
        ),
    ),
    Scenario(
        "FLT-23",
        "hard-water",
        "howto",
        4,
        (
            "Is the {p} safe to use with a softener upstream, and in which order should they sit?",
            "How do I set the hardness on the {p}? Our water company says 17 degrees.",
            "Am I allowed to run hot water through the {p}, and what is the limit in degrees?",
        ),
    ),
    Scenario(
        "FLT-23",
        "cancel-autoship",
        "cancel",
        4,
        (
            "Please stop the quarterly cartridge parcels for the {p}, we have a shelf full of them.",
            "I wish to end the automatic cartridge delivery for the {p} before the next one goes out on {date}.",
            "No more cartridge post for the {p}, thank you. I'll buy them as needed.",
        ),
    ),
    # --- Cascade booster pump ----------------------------------------------------
    Scenario(
        "PMP-55",
        "sparks",
        "repair",
        1,
        (
            "The {p} is throwing sparks from the cable entry and there's a smell of burning in the {room}.",
            "I got an electric shock off the casing of the {p} this morning. I've switched the breaker off and nobody goes near it.",
            "The {p} gives off smoke each time it starts, and the wall behind it is hot to the touch.",
        ),
    ),
    Scenario(
        "PMP-55",
        "seal-gone",
        "repair",
        1,
        (
            "The shaft seal of the {p} has gone and it's squirting water across the {room}, the skirting is soaked.",
            "There's a fountain coming from under the {p} and the carpet next door is already wet.",
            "The {p} is leaking badly, a litre a minute I'd guess, and the floor is starting to lift.",
        ),
    ),
    Scenario(
        "PMP-55",
        "no-start",
        "repair",
        2,
        (
            "The {p} doesn't start, it hums for a second and trips. On the top floor we have no water at all.",
            "{When} the {p} is dead, no hum, no light, and without it nothing reaches the taps.",
            "The {p} gave a bang and stopped for good. Every tap above the ground floor is dry.",
        ),
    ),
    Scenario(
        "PMP-55",
        "pulsing",
        "repair",
        3,
        (
            "The pressure from the {p} surges up and down like a heartbeat, showers are possible but no fun.",
            "The {p} has grown terribly loud {when}, it rattles the pipes, though the pressure is still there.",
            "The {p} cuts in and out every ten seconds while a tap is open. Water does come, in waves.",
        ),
    ),
    Scenario(
        "PMP-55",
        "stats-missing",
        "connect",
        3,
        (
            "The {p} pumps as ever but it shows up as offline and I can't see the pressure curve from the office.",
            "The wireless module of the {p} drops the network at each start of the motor. Pressure is good.",
            "Since the update of {date} the {p} won't log in to the wifi, pumping isn't affected.",
        ),
    ),
    Scenario(
        "PMP-55",
        "wont-register",
        "connect",
        3,
        (
            "I want to register the {p} and the setup loops back to 'choose network' for ever. Water pressure is great.",
            "The {p} can't be paired, the Bluetooth name shows for a moment and vanishes. It pumps well enough by itself.",
            "Fitted on {date}, the {p} runs but has never once connected, the link lamp stays dark.",
        ),
    ),
    Scenario(
        "PMP-55",
        "too-loud",
        "refund",
        3,
        (
            "The {p} vibrates so much that the glasses ring, even after two visits from your people. It pumps, but we can't live with it.",
            "The {p} never reached the 3.5 bar in the brochure, we get barely two on a good day.",
            "Pressure from the {p} sags as soon as a second tap opens, and nobody has been able to cure it.",
        ),
    ),
    Scenario(
        "PMP-55",
        "motor-dead-refund",
        "refund",
        2,
        (
            "The {p} lasted nineteen days and then died outright. No pump, no water upstairs.",
            "Second {p} in a row that is dead on arrival, the motor doesn't turn at all.",
            "The {p} has packed up entirely and we have been fetching water from next door {when}.",
        ),
    ),
    Scenario(
        "PMP-55",
        "pump-spares",
        "order",
        4,
        (
            "I'd like a set of rubber feet and an inlet strainer for the {p}. It's running well, just planning ahead.",
            "What would a spare pressure switch for the {p} cost? Ours is fine, I want one on the shelf.",
            "Please send two of the flexible hoses that go with the {p}, 40 centimetres, as on {order}.",
        ),
    ),
    Scenario(
        "PMP-55",
        "buy-new-pump",
        "order",
        2,
        (
            "The motor of the {p} has burnt out and we have no water upstairs. Don't repair it, sell us a new one today.",
            "The {p} seized for good after twelve years, so nothing comes out of the taps. I want to purchase its successor.",
            "Our {p} is beyond saving and the taps are dry. Please put through an order for a new unit, express.",
        ),
    ),
    Scenario(
        "PMP-55",
        "set-pressure",
        "howto",
        4,
        (
            "To what pressure should the {p} be set for a three-storey building, and with which screw?",
            "How is the night mode of the {p} turned on? I want it slower after ten.",
            "How do I vent air from the {p} after a filter change? It runs well, I'd just like to do it properly.",
        ),
    ),
    Scenario(
        "PMP-55",
        "frost-storage",
        "howto",
        4,
        (
            "We close up for the winter. How should the {p} be drained and stored?",
            "Can the {p} stand outdoors under a lid, and how cold may it get?",
            "How often should the {p} be serviced, and is that something I may do myself?",
        ),
    ),
    Scenario(
        "PMP-55",
        "cancel-visit",
        "cancel",
        4,
        (
            "The yearly check of the {p} is booked for {date}. Please take it out of the diary, we don't want it.",
            "I'm ending the maintenance agreement for the {p}, my brother-in-law will look after it from now on.",
            "Please call off delivery of the {p}, {order}. The water company has raised the pressure and we don't need it.",
        ),
    ),
    # --- Estuary app subscription ------------------------------------------------
    Scenario(
        "SUB-01",
        "crash-at-start",
        "repair",
        2,
        (
            "The {p} crashes the moment I open it, on two phones and a tablet. I can't get in at all.",
            "Nothing but a white screen from the {p} {when}. Reinstalling didn't help, it is dead.",
            "The {p} closes itself before the login even shows. It hasn't opened once since the update of {date}.",
        ),
    ),
    Scenario(
        "SUB-01",
        "wrong-graphs",
        "repair",
        3,
        (
            "The daily graph in the {p} shows litres from two different days mixed together, all else in it works.",
            "The {p} takes half a minute to turn a page and the history stutters, slow but usable.",
            "The totals in the {p} are out by a factor of ten in the monthly view. The daily view is right.",
        ),
    ),
    Scenario(
        "SUB-01",
        "typo-in-menu",
        "repair",
        4,
        (
            "A small cosmetic bug: in dark mode the headings of the {p} are grey on grey. Everything functions.",
            "There's a spelling mistake on the settings page of the {p}, 'shedule'. It bothers me every morning, please correct it.",
            "The icons in the {p} overlap the text on a small phone. It all works, it merely looks untidy and ought to be corrected.",
        ),
    ),
    Scenario(
        "SUB-01",
        "late-alerts",
        "repair",
        3,
        (
            "Alerts from the {p} arrive an hour late, though the readings on its screen are up to date.",
            "The {p} sends each notice three times over. They are right, there are merely too many of them.",
            "About one notice in four from the {p} has an empty text, the rest are good.",
        ),
    ),
    Scenario(
        "SUB-01",
        "login-sync",
        "connect",
        3,
        (
            "The {p} opens but hasn't synced {when}, 'last update unknown' is all I see for every room.",
            "On mobile data the {p} loads, on our own wifi it says 'cannot reach server'.",
            "I moved to a new phone and the {p} will not link to my devices, though it still works on the old phone.",
        ),
    ),
    Scenario(
        "SUB-01",
        "voice-link",
        "connect",
        3,
        (
            "The {p} won't link with our voice assistant, it goes through the motions and ends with 'connection failed'. On screen it's fine.",
            "The calendar sync of the {p} broke on {date}, and linking it again brings up a timeout. The rest is okay.",
            "My wife's phone can't be connected to the {p} as a second user, the invitation hangs at 'connecting'.",
        ),
    ),
    Scenario(
        "SUB-01",
        "billed-after-end",
        "refund",
        4,
        (
            "I ended the {p} subscription in spring and you have still been taking the monthly fee.",
            "Two yearly fees for the {p} went off my card on {date}, one would have been right.",
            "The trial of the {p} was supposed to be free, yet 7.90 was booked on {date}.",
        ),
    ),
    Scenario(
        "SUB-01",
        "outage-credit",
        "refund",
        2,
        (
            "The {p} has been totally down {when}, it does not open at all, and I'm paying for it every month.",
            "For the whole of last month and still today the {p} cannot be opened, and I was charged in full.",
            "I've paid for a year of the {p} and it hasn't started once on my phone, just a grey screen.",
        ),
    ),
    Scenario(
        "SUB-01",
        "more-seats",
        "order",
        4,
        (
            "We would like to add three more users to our {p} subscription. What's the price per head?",
            "Please upgrade the {p} from monthly to yearly billing, starting on {date}.",
            "I want to buy the {p} subscription as a present for my parents, can you send a voucher?",
        ),
    ),
    Scenario(
        "SUB-01",
        "history-pack",
        "order",
        4,
        (
            "Please add the five-year history pack to our {p} subscription.",
            "Can we purchase the leak report add-on for the {p}? The one-off kind if there is such a thing.",
            "I'd like to take out the {p} for a second address as well, on the same card.",
        ),
    ),
    Scenario(
        "SUB-01",
        "export-data",
        "howto",
        4,
        (
            "How can I export last year's usage out of the {p} as a spreadsheet?",
            "Where in the {p} do I change the units from gallons to litres?",
            "Is there a way to rename rooms in the {p}? I've looked through every menu.",
        ),
    ),
    Scenario(
        "SUB-01",
        "share-access",
        "howto",
        4,
        (
            "How do I give the house sitter access in the {p} for one week only?",
            "Could you tell me how the thresholds for alerts are set in the {p}?",
            "I'd like to know how one turns on two-step login in the {p}.",
        ),
    ),
    Scenario(
        "SUB-01",
        "cancel-sub",
        "cancel",
        4,
        (
            "Please end my {p} subscription at the close of this period, I hardly look at it.",
            "I do not wish the {p} to renew on {date}. Please confirm that it stops.",
            "Close my {p} account, please, we are moving abroad. Nothing wrong with it.",
        ),
    ),
    # --- Ripple smart tap --------------------------------------------------------
    Scenario(
        "TAP-34",
        "scalding",
        "repair",
        1,
        (
            "The {p} gives scalding water on the cold setting, my hand is blistered from it.",
            "Boiling hot water bursts out of the {p} without warning, somebody is going to get burnt.",
            "The temperature stop of the {p} has failed. It's set to 38 and comes out steaming, it's dangerous.",
        ),
    ),
    Scenario(
        "TAP-34",
        "wont-shut",
        "repair",
        1,
        (
            "The {p} can't be shut and the basin is overflowing onto the floor.",
            "Water is gushing from the base of the {p} and running down the cupboard, towels everywhere.",
            "The hose below the {p} has come off. There's water all over the {room} and more coming.",
        ),
    ),
    Scenario(
        "TAP-34",
        "no-response",
        "repair",
        2,
        (
            "The {p} doesn't react to anything, hand, knob or voice, and not a drop comes out.",
            "{When} the {p} has been lifeless, no glow ring, no water.",
            "The {p} beeped twice and died. New batteries, a reset, nothing, it stays dry.",
        ),
    ),
    Scenario(
        "TAP-34",
        "dripping-slow",
        "repair",
        3,
        (
            "The {p} only notices my hand at the third wave, then it works.",
            "The flow from the {p} has dropped to a thin stream, cleaning the nozzle helped a little.",
            "The {p} measures 400 millilitres when I ask for half a litre, otherwise it behaves.",
        ),
    ),
    Scenario(
        "TAP-34",
        "voice-offline",
        "connect",
        3,
        (
            "The {p} has lost the network {when}, so no voice control. By hand it pours.",
            "The glow ring of the {p} pulses orange, which the card says means offline. Water comes normally.",
            "After the firmware update the {p} can't find our wifi, the manual lever works as before.",
        ),
    ),
    Scenario(
        "TAP-34",
        "tap-pairing",
        "connect",
        3,
        (
            "I can't get the {p} to pair, it stays on 'waiting for tap' and gives up. As an ordinary tap it is fine.",
            "The installer left on {date} without connecting the {p}, and my own attempts end with code 31. Water is running.",
            "The {p} pairs, greets me, and forgets me the next day. Every day anew. Pouring isn't affected.",
        ),
    ),
    Scenario(
        "TAP-34",
        "disappointing",
        "refund",
        3,
        (
            "The {p} reacts to the cat, the curtain and now and then to me. I've had enough of it.",
            "Half the time the {p} pours too much and half the time too little, in the fourth month of owning it.",
            "The {p} needs new batteries every nine days instead of every year. It works in between, but no.",
        ),
    ),
    Scenario(
        "TAP-34",
        "wrong-finish",
        "refund",
        4,
        (
            "The {p} came in matt black, I had picked chrome. It's still in its wrapping.",
            "I returned the {p} within the fourteen days, parcel delivered on {date}, and the sum has not been paid back.",
            "We paid a fitting fee for the {p}, {order}, and then fitted it ourselves. The tap is lovely, the fee is wrong.",
        ),
    ),
    Scenario(
        "TAP-34",
        "nozzle-parts",
        "order",
        4,
        (
            "I would like to order two fine-spray nozzles for the {p}.",
            "Do you sell the longer spout for the {p}? We've got a deeper sink now.",
            "Please send a battery case and a set of washers for the {p}, for the drawer. It is working well.",
        ),
    ),
    Scenario(
        "TAP-34",
        "another-tap",
        "order",
        4,
        (
            "The guest bathroom deserves the {p} too. One in brushed steel, please.",
            "How soon can you deliver three more of the {p}, all chrome, same account?",
            "We want one extra {p} for the new kitchenette, left-hand version if you make it.",
        ),
    ),
    Scenario(
        "TAP-34",
        "child-lock",
        "howto",
        4,
        (
            "How is the child lock on the {p} switched on? My guests' kids love it too much.",
            "What's the gesture on the {p} for exactly one cup of water?",
            "How do I clean the sensor window on the {p} without setting off the water?",
        ),
    ),
    Scenario(
        "TAP-34",
        "flooding-howto",
        "howto",
        1,
        (
            "The {p} is running over and I can't find its stop. Water is on the floor, how do I shut it off underneath?",
            "Quick question, as it is flooding here: where is the emergency stop of the {p}?",
            "Water is shooting out beside the {p} and going everywhere. How can I turn it off without a phone?",
        ),
    ),
    Scenario(
        "TAP-34",
        "cancel-tap",
        "cancel",
        4,
        (
            "I've changed my mind about the {p}. Please do not send it, {order}.",
            "Our kitchen is delayed by half a year, so kindly scrap the order for the {p}.",
            "Please drop the fitting appointment for the {p} on {date}. No new date needed.",
        ),
    ),
    # --- Delta gateway hub -------------------------------------------------------
    Scenario(
        "HUB-60",
        "overheating",
        "repair",
        1,
        (
            "The power brick of the {p} is melting, the plastic has run and it smells of burning.",
            "The {p} crackles and is so hot it has singed the shelf. I pulled it with oven gloves.",
            "Sparks flew from the back of the {p} when I touched the plug, my fingers still tingle.",
        ),
    ),
    Scenario(
        "HUB-60",
        "no-lights",
        "repair",
        2,
        (
            "No lights on the {p} at all {when}, I've tried three sockets and another lead.",
            "The {p} died in the power cut on {date} and doesn't come on again.",
            "The {p} is as dead as a brick, no lamp, no warmth, no fan.",
        ),
    ),
    Scenario(
        "HUB-60",
        "restarts",
        "repair",
        3,
        (
            "The {p} restarts itself every few hours. In between it runs as usual.",
            "The reset button of the {p} has stuck halfway, so it now and then wipes its settings. Otherwise it runs.",
            "The buzzer in the {p} has gone faint, you can barely hear an alarm. The rest of the box does its job.",
        ),
    ),
    Scenario(
        "HUB-60",
        "cracked-cover",
        "repair",
        4,
        (
            "The cover of the {p} arrived with a crack. It works like a charm, it's about looks, could the cover be replaced under warranty?",
            "One of the feet has dropped off the {p} so it wobbles on the shelf. Runs perfectly, but I'd like it put right.",
            "The lettering on the {p} is upside down, which makes us laugh. It works. Still, can that be corrected?",
        ),
    ),
    Scenario(
        "HUB-60",
        "no-internet",
        "connect",
        3,
        (
            "The {p} blinks amber, no internet, while every computer here is online.",
            "The {p} gets no address from the router {when}. Local alarms still sound, nothing goes out.",
            "Our provider switched us to fibre on {date} and the {p} hasn't been online since, its local part works.",
        ),
    ),
    Scenario(
        "HUB-60",
        "devices-dropped",
        "connect",
        3,
        (
            "The {p} has dropped half of its devices and won't take them back, pairing mode runs out each time.",
            "Range trouble: the {p} loses anything further than one wall away, the nearer things stay linked.",
            "I moved the {p} to the {room} and now it keeps losing the signal for minutes at a time.",
        ),
    ),
    Scenario(
        "HUB-60",
        "hub-doa",
        "refund",
        2,
        (
            "The {p} which came on {date} doesn't switch on, and the one you sent before it didn't either.",
            "Never got as far as setting up, the {p} is dead out of the box.",
            "Our {p} quit for good after eight weeks, not a single lamp lights.",
        ),
    ),
    Scenario(
        "HUB-60",
        "not-needed",
        "refund",
        4,
        (
            "I was told I needed the {p}, and it turns out one device links up without it. Box unopened, {order}.",
            "Delivery of the {p} was promised by {date} and came two weeks late, so I'd like the express fee back. The unit runs well.",
            "The voucher of 20 was not taken off when I bought the {p}. Everything works, only the bill is wrong.",
        ),
    ),
    Scenario(
        "HUB-60",
        "hub-parts",
        "order",
        4,
        (
            "Could you sell me the external aerial for the {p}? Part two of the catalogue mentions one.",
            "I'm after a wall mount and a white two metre cable for the {p}.",
            "A spare power supply for the {p}, please, for the holiday. The old one is still all right.",
        ),
    ),
    Scenario(
        "HUB-60",
        "second-hub",
        "order",
        4,
        (
            "The building has grown, so we need a second {p} for the new wing.",
            "One {p}, please, to start with. I hear the other things hang off it.",
            "Please reserve two of the {p} for us, collection at your counter on {date}.",
        ),
    ),
    Scenario(
        "HUB-60",
        "move-hub",
        "howto",
        4,
        (
            "We move house on {date}. How do I take the {p} along without setting everything up anew?",
            "What does a slow green light on the {p} mean? Everything seems to work.",
            "How does one make a backup of the settings of the {p}?",
        ),
    ),
    Scenario(
        "HUB-60",
        "factory-reset",
        "howto",
        2,
        (
            "The {p} is dead to every button after a failed update, not a lamp. How do I do the paper clip reset?",
            "My {p} shows no life at all. Before anything else, how is a full reset done at home?",
            "The {p} went dark for good this morning. Is there some key combination to revive it, and how long must I press?",
        ),
    ),
    Scenario(
        "HUB-60",
        "cancel-hub",
        "cancel",
        4,
        (
            "Please take the {p} off {order} before it ships, we've got one already.",
            "I want out of the monthly rental of the {p}. The last day should be {date}.",
            "We have sold the flat. Please end the replacement cover for the {p}.",
        ),
    ),
    # --- Cistern tank level gauge ------------------------------------------------
    Scenario(
        "LVL-19",
        "overflow-now",
        "repair",
        1,
        (
            "The {p} reads half full for ever, the refill never stops and the tank is spilling over into the loft.",
            "The seal where the {p} enters the tank has failed and water is running down the outside onto the electrics.",
            "Because the {p} failed to report, the tank overflowed and it is still coming through the ceiling.",
        ),
    ),
    Scenario(
        "LVL-19",
        "no-reading",
        "repair",
        2,
        (
            "The {p} shows two dashes and nothing more {when}. No reading, no lamp, no beep.",
            "The {p} has stopped altogether. I swapped the cell, cleaned the contacts, nothing.",
            "A blank window on the {p}, it's gone completely and I am dipping the tank with a broom handle.",
        ),
    ),
    Scenario(
        "LVL-19",
        "reads-low",
        "repair",
        3,
        (
            "The {p} is off by a good 15 per cent, it claims 60 when the tank is three quarters full.",
            "The reading of the {p} jumps about, 40, 70, 40, then settles after a while.",
            "On cold mornings the {p} sticks at yesterday's level and catches up around noon.",
        ),
    ),
    Scenario(
        "LVL-19",
        "foggy-window",
        "repair",
        4,
        (
            "The window of the {p} has fogged up a little at the edge. Readings are spot on, it just looks shabby, can it be cleared under warranty?",
            "The scale sticker on the {p} was stuck on crooked. A matter of looks only, but I'd like a proper one put on.",
            "The cap of the {p} has bleached from green to grey. It measures perfectly, is there anything you can do about the colour?",
        ),
    ),
    Scenario(
        "LVL-19",
        "readings-stuck",
        "connect",
        3,
        (
            "The {p} shows the right level at the tank, but no value has been sent {when}.",
            "The {p} is out of range, I suspect, the link bars come and go and mostly go. The dial itself is right.",
            "The signal from the {p} stopped when the metal roof went on. On its own display all is well.",
        ),
    ),
    Scenario(
        "LVL-19",
        "gauge-pairing",
        "connect",
        3,
        (
            "The new {p} will not be added, 'serial number in use', though the dial measures well.",
            "I pressed the pairing button on the {p} until my thumb hurt. It reads the tank, it doesn't join.",
            "The {p} was relabelled in the wrong group and after removing it I can't link it again. The local display works.",
        ),
    ),
    Scenario(
        "LVL-19",
        "unreliable",
        "refund",
        3,
        (
            "The {p} has been recalibrated four times and is still ten centimetres out every other day.",
            "The {p} eats a battery a month and sulks below five degrees, on warm days it does work.",
            "You can't plan with the {p}, right one day and a third too high the next.",
        ),
    ),
    Scenario(
        "LVL-19",
        "too-short",
        "refund",
        4,
        (
            "The {p} is too short for our tank, which is my mistake. Clean and unused, {order}.",
            "I was charged the price of the three metre {p} for the two metre one. It reads well, the invoice doesn't.",
            "The {p} was returned to your counter on {date}, against a receipt, and no payment has followed.",
        ),
    ),
    Scenario(
        "LVL-19",
        "gauge-float",
        "order",
        4,
        (
            "We need a spare float and a length of cable for the {p}, nothing urgent.",
            "I'd like to buy the deep-tank rod for the {p}, the three metre one.",
            "Please put me down for one mounting flange for the {p}. It works, I am just moving it to the new tank.",
        ),
    ),
    Scenario(
        "LVL-19",
        "gauge-replace",
        "order",
        2,
        (
            "The {p} is dead beyond doubt, a squirrel ate the cable and the board. What do you charge for a new one? No repair, please.",
            "My {p} gave up the ghost and shows nothing at all. Rather than fix it, I'd like to order the newer type.",
            "Frost has finished off the {p}, it won't come on. Could I buy another at the trade-in price?",
        ),
    ),
    Scenario(
        "LVL-19",
        "calibrate",
        "howto",
        4,
        (
            "How do I teach the {p} the shape of a round tank lying on its side?",
            "Which number means 'full' on the {p}, and how can I change it?",
            "I want the {p} to warn me at 25 per cent. Where is that set?",
        ),
    ),
    Scenario(
        "LVL-19",
        "clean-rod",
        "howto",
        4,
        (
            "May the {p} stay in place while the tank is being cleaned with bleach?",
            "How should I get the algae off the {p} without spoiling it?",
            "Does the {p} work in rainwater with leaves in it, and how deep should it hang?",
        ),
    ),
    Scenario(
        "LVL-19",
        "cancel-gauge",
        "cancel",
        4,
        (
            "The tank is going, mains water is coming, so please end the service plan for the {p} on {date}.",
            "Please call off the calibration visit for the {p}, I have done it myself.",
            "I'd like to withdraw from the purchase of the {p}, {order}, before it leaves your store.",
        ),
    ),
    # --- Hearth hot-water monitor ------------------------------------------------
    Scenario(
        "HWM-08",
        "cylinder-overheat",
        "repair",
        1,
        (
            "The {p} lets the cylinder climb past 90 degrees with no alarm, and the taps are spitting steam. Someone will get scalded.",
            "The clamp of the {p} has cut into the pipe and hot water is spraying over the {room}.",
            "There's a burning smell and a brown patch spreading on the {p}, right next to the gas boiler.",
        ),
    ),
    Scenario(
        "HWM-08",
        "monitor-dead",
        "repair",
        2,
        (
            "The {p} is blank, no temperature, no lamp, a restart at the fuse box did nothing.",
            "The {p} went out on {date} like a candle and has stayed out.",
            "Nothing from the {p} any more. Screen black, buttons dead, even with a new power supply.",
        ),
    ),
    Scenario(
        "HWM-08",
        "wrong-temp",
        "repair",
        3,
        (
            "The {p} says 41 degrees when a kitchen thermometer says 55, and the gap is the same every time.",
            "The {p} loses its history at each midnight, live values are right.",
            "The {p} updates once an hour instead of once a minute, {when}.",
        ),
    ),
    Scenario(
        "HWM-08",
        "flicker",
        "repair",
        3,
        (
            "The screen of the {p} flickers and drops lines, I can read it with some patience.",
            "Every so often the {p} freezes until I tap it, then carries on as if nothing had happened.",
            "The upper of the two probes on the {p} cuts out now and then. The lower one is good.",
        ),
    ),
    Scenario(
        "HWM-08",
        "monitor-offline",
        "connect",
        3,
        (
            "The {p} shows the temperature on its own screen but has been cut off from the network {when}.",
            "I get 'device offline' messages all day long from the {p}, while it's happily measuring in the {room}.",
            "Ever since the hub was moved the {p} can't reach it. It does measure, it just doesn't report.",
        ),
    ),
    Scenario(
        "HWM-08",
        "monitor-pairing",
        "connect",
        3,
        (
            "The {p} asks for a six-figure code that I was never given, so I can't connect it. The display is working.",
            "Pairing of the {p} fails at the very end, 'handshake error'. It shows the degrees all the same.",
            "The {p} connected to the neighbours' system instead of ours, honestly. It measures, just for them.",
        ),
    ),
    Scenario(
        "HWM-08",
        "no-savings",
        "refund",
        4,
        (
            "The {p} works as described, but I was promised lower bills by your salesman and have not saved a penny.",
            "I bought the {p} by mistake, it was meant to be a thermostat. Sealed in its box since {date}.",
            "I have paid the deposit for the {p} twice, {order}. The device is all right.",
        ),
    ),
    Scenario(
        "HWM-08",
        "never-worked",
        "refund",
        2,
        (
            "The {p} has not shown one single number since it was put in, a dead black square.",
            "I have exchanged the {p} twice. Numbers one, two and three all refuse to switch on.",
            "The {p} went black for good on {date} after eleven days of use.",
        ),
    ),
    Scenario(
        "HWM-08",
        "extra-probe",
        "order",
        4,
        (
            "Is there a longer probe for the {p}? I would take one with five metres of cable.",
            "Please send the strap set for 28 mm pipes that goes with the {p}.",
            "I'd like a third probe for the {p} and a tube of the heat paste.",
        ),
    ),
    Scenario(
        "HWM-08",
        "one-more-monitor",
        "order",
        4,
        (
            "We've had a second cylinder put in and would like the {p} for that one also.",
            "Can I order the {p} in the version with the big display, and pay on invoice?",
            "Please add another {p} to {order} if that is still possible.",
        ),
    ),
    Scenario(
        "HWM-08",
        "legionella",
        "howto",
        4,
        (
            "How do I set up the weekly hygiene cycle with the {p}, at 65 degrees?",
            "Where on the cylinder should the two probes of the {p} sit?",
            "What is the little snowflake on the {p} trying to tell me? All seems normal.",
        ),
    ),
    Scenario(
        "HWM-08",
        "tariff",
        "howto",
        4,
        (
            "I have just changed to a night tariff. In which menu of the {p} are the cheap hours entered?",
            "How do I dim the {p} at night? It lights up the whole {room}.",
            "Could you tell me how the {p} works out 'showers left'? I'd like to set the litres per shower.",
        ),
    ),
    Scenario(
        "HWM-08",
        "cancel-monitor",
        "cancel",
        4,
        (
            "We are getting a heat pump, so call off the {p}, {order}, please. It hasn't been sent yet.",
            "Please terminate the two-year care package for the {p} with effect from {date}.",
            "The installation of the {p} on {date} is off, please strike it. We shan't be going ahead.",
        ),
    ),
)
