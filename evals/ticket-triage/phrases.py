"""The words around the incidents: who writes, from where, and how they talk.

Nothing here may change a label except the tables that define one: `NICKNAMES`,
`PLACES`, `PLANS`, `BUSINESSES` and the two photo banks.  Backstories and
chatter must therefore never describe a present fault, name a plan, a district
or a business, or say that a picture is attached.

Slots are those of `scenarios.py`, and {o} another product, {biz} a kind of
business, {place} a district, {plan} a plan, {month} a month.
"""

# How a customer calls a product.  All of these carry the official name.
NAMES: dict[str, tuple[str, ...]] = {
    "VLV-41": ("TideGate", "TideGate valve", "TideGate shut-off", "Brackwater TideGate"),
    "SNS-12": ("Pebble", "Pebble sensor", "Pebble leak sensor", "Brackwater Pebble"),
    "IRR-70": ("Marsh", "Marsh controller", "Marsh irrigation box", "Brackwater Marsh"),
    "FLT-23": ("Brook", "Brook filter", "Brook under-sink filter", "Brackwater Brook"),
    "PMP-55": ("Cascade", "Cascade pump", "Cascade booster pump", "Brackwater Cascade"),
    "SUB-01": ("Estuary app", "Estuary", "Brackwater Estuary app"),
    "TAP-34": ("Ripple", "Ripple tap", "Ripple smart tap", "Brackwater Ripple"),
    "HUB-60": ("Delta", "Delta hub", "Delta gateway", "Brackwater Delta"),
    "LVL-19": ("Cistern gauge", "Cistern level gauge", "Cistern tank gauge", "Brackwater Cistern"),
    "HWM-08": ("Hearth", "Hearth monitor", "Hearth hot-water monitor", "Brackwater Hearth"),
}

# Customers' slang.  It is in no manual: it can only be learnt from old tickets.
NICKNAMES: dict[str, tuple[str, ...]] = {
    "VLV-41": ("clicky valve",),
    "SNS-12": ("floor puck",),
    "IRR-70": ("bog box",),
    "FLT-23": ("blue canister",),
    "PMP-55": ("thumper",),
    "SUB-01": ("tide chart",),
    "TAP-34": ("wavy tap",),
    "HUB-60": ("white triangle",),
    "LVL-19": ("dipstick",),
    "HWM-08": ("boiler badge",),
}

# How a product is called when it is only mentioned in passing.
OTHERS: dict[str, tuple[str, ...]] = {
    "VLV-41": ("TideGate", "TideGate valve"),
    "SNS-12": ("Pebble", "Pebble sensor"),
    "IRR-70": ("Marsh controller", "Marsh"),
    "FLT-23": ("Brook filter", "Brook"),
    "PMP-55": ("Cascade pump", "Cascade"),
    "SUB-01": ("Estuary app", "Estuary subscription"),
    "TAP-34": ("Ripple tap", "Ripple"),
    "HUB-60": ("Delta hub", "Delta"),
    "LVL-19": ("Cistern gauge", "Cistern"),
    "HWM-08": ("Hearth monitor", "Hearth"),
}

# The districts of the service regions, again only known from old tickets.
PLACES: dict[str, tuple[str, ...]] = {
    "north": ("Harbour district", "Gannet Hill"),
    "south": ("Oldmill", "Saltmarket"),
    "east": ("Cooper Quay", "Dovecote"),
    "west": ("Quarry Bank", "Thistle Green"),
}

# Plans; the second name of each is the one it had before it was renamed.
PLANS: dict[str, tuple[str, str]] = {
    "gold": ("Gold", "Spinnaker"),
    "silver": ("Silver", "Anchor"),
}

BUSINESSES: tuple[str, ...] = (
    "bakery",
    "guest house",
    "dental practice",
    "launderette",
    "garden centre",
    "primary school",
    "hair salon",
    "fitness studio",
    "care home",
    "small hotel",
    "café",
    "veterinary surgery",
    "brewery",
    "campsite",
    "restaurant",
    "car wash",
    "youth hostel",
    "flower shop",
    "butchery",
    "pottery workshop",
)

TIER_PLAN: tuple[str, ...] = (
    "We're on the {plan} plan.",
    "I have been on {plan} for years.",
    "My plan is {plan}, if that matters.",
    "We pay for {plan}, by the way.",
    "Our cover is {plan}.",
    "{plan} customer here.",
    "According to the card in my wallet I'm {plan}.",
    "We took out {plan} when we moved in.",
    "The contract says {plan} on the top line.",
    "I upgraded to {plan} last year.",
    "Plan: {plan}.",
    "You have us down as {plan}, I believe.",
    "We have the {plan} package.",
    "I'm paying {plan} rates.",
)
TIER_PLAN_SHORT: tuple[str, ...] = ("{plan} plan", "{plan} cover", "plan {plan}", "{plan} member")

TIER_BUSINESS: tuple[str, ...] = (
    "I'm writing on behalf of our {biz}.",
    "This concerns the {biz} I run.",
    "We are a {biz}, so this is about business premises.",
    "It is for my {biz}.",
    "I manage a {biz} and look after the water there.",
    "All of it is installed at our {biz}.",
    "I am the caretaker of a {biz}.",
    "The equipment belongs to our {biz}.",
    "We use your things at the {biz} every day.",
    "My partner and I own a {biz}.",
)
TIER_BUSINESS_SHORT: tuple[str, ...] = (
    "for our {biz}",
    "we're a {biz}",
    "{biz} owner here",
    "at my {biz}",
)

TIER_NONE: tuple[str, ...] = (
    "We never took out a plan.",
    "No plan, just an ordinary household.",
    "I don't have any of your plans.",
    "I turned down the plans when I bought it all.",
    "No contract with you, only the purchase.",
    "We let our plan lapse, so there's none at present.",
)
TIER_NONE_SHORT: tuple[str, ...] = ("no plan", "no contract", "never had a plan")

REGION: tuple[str, ...] = (
    "We're in {place}.",
    "The address is in {place}.",
    "You'll find us in {place}.",
    "It's all in {place}, the number is on file.",
    "I am writing from {place}, where it's installed.",
    "Address: {place}, second floor.",
    "Location: {place}.",
    "Everything stands in {place}, just past the chapel.",
    "The place is in {place}, with the green gate.",
    "We moved to {place} two years ago.",
    "Our part of town is {place}.",
    "Site: {place}, ring twice.",
)
REGION_SHORT: tuple[str, ...] = ("{place}", "in {place}", "{place} area", "from {place}")

TIER_AND_REGION_PLAN: tuple[str, ...] = (
    "{plan} plan, {place}.",
    "We live in {place} and have {plan}.",
    "I'm a customer in {place}, on {plan}.",
    "{place}, {plan} cover, as you can see in your files.",
    "Ours is the {plan} contract for {place}.",
    "We've had {plan} since we came to {place}.",
)
TIER_AND_REGION_BUSINESS: tuple[str, ...] = (
    "I run a {biz} in {place}.",
    "We're a {biz} in {place}.",
    "I look after a {biz}, over in {place}.",
    "Our {biz} is in {place}.",
    "This is about the {biz} in {place}.",
    "I'm the manager of a {biz} in {place}.",
)

# A district that is not the customer's own.
OTHER_PLACE: tuple[str, ...] = (
    "My sister in {place} has the same set and no trouble.",
    "A friend over in {place} put me on to you.",
    "Your shop in {place} was shut, so I'm writing.",
    "My colleague from {place} said you'd answer quickly.",
    "I used to live in {place} and never needed you once.",
)

OPENINGS: tuple[str, ...] = (
    "Hello,",
    "Hi there,",
    "Good morning,",
    "Good afternoon,",
    "Hi team,",
    "Hello Brackwater,",
    "Evening all,",
    "Hey,",
    "To whom it may concern,",
    "Hello again,",
    "Hi,",
    "Dear Brackwater Home,",
    "Dear support,",
    "Greetings,",
    "Morning,",
)
FORMAL_OPENINGS: tuple[str, ...] = (
    "Dear Sir or Madam,",
    "Dear Customer Service,",
    "Dear Brackwater Home team,",
    "Dear Sirs,",
)
ANGRY_OPENINGS: tuple[str, ...] = (
    "This is the THIRD time I'm writing.",
    "Seriously?",
    "I am beyond annoyed.",
    "Does anybody read these at all?",
    "Forty minutes on hold, then cut off. Great.",
    "I'm losing my patience with you people.",
    "Enough is enough.",
    "Unbelievable.",
    "What kind of outfit are you running?",
    "I've had it up to here.",
)
ANGRY_CLOSINGS: tuple[str, ...] = (
    "I expect an answer TODAY.",
    "Next time I'll write to the newspaper.",
    "And no more standard replies, thank you.",
    "Do your job.",
    "Not good enough!",
    "I won't ask a fourth time.",
    "Sort it out.",
    "Shame on you.",
)
RAMBLES: tuple[str, ...] = (
    "Forgive me for going on a bit, my late husband always did the writing.",
    "It has been raining here for weeks and the dog won't go out, but that's not why I write.",
    "I meant to call, then the kettle boiled, then it was evening, you know how it goes.",
    "First of all, the calendar you sent at Christmas is hanging in the hall, lovely pictures.",
    "I'm not much of a technical person, I taught geography for thirty years.",
    "My grandson says one should simply write an e-mail, so here I am, writing one.",
    "I'll try to keep it short, which my friends will tell you I can't.",
    "There's a long story about the plumber and his van, which I shall spare you.",
    "I was going to write last week but my glasses were at the optician's.",
    "We had the painters in, then the window people, it has been one of those months.",
    "I've looked through the booklet from front to back, even the Norwegian pages.",
    "You probably hear this kind of thing all day long, poor souls.",
    "Before I forget, the young man on the phone last year was ever so kind.",
    "My neighbour thinks it is the moon, but he thinks that about everything.",
)

BACKSTORIES: tuple[str, ...] = (
    "We have had Brackwater kit for six years.",
    "Bought in {month} from your web shop, {order}.",
    "Our plumber put everything in last {month}.",
    "I'm new to all this.",
    "We had a flood two winters ago, nothing to do with you, so I take no chances.",
    "Nobody here has touched any settings.",
    "The manual was of no use to me.",
    "I phoned on {date} and was told to write.",
    "Your chat robot sent me round in circles.",
    "I took it over from the previous owner with all the papers.",
    "I have already read the help pages.",
    "My reference is {order}.",
    "The electrician who was here on {date} couldn't tell me either.",
    "I wrote about a different matter in {month}, that one is settled.",
    "We chose you because of the test in the paper.",
    "I'm usually quite handy.",
    "There was a leak in {month}, long since mended, please don't mix the two up.",
    "I couldn't find a form for this on your site.",
    "Customer number {number}, in case you need it.",
    "My phone number hasn't changed.",
    "I keep all receipts, in case you want them.",
    "The water company says their side is in order.",
)
HOME_BACKSTORIES: tuple[str, ...] = (
    "I'm at home with a newborn, so be gentle.",
    "My husband is away until {date}.",
    "We are four people and a cat in this house.",
    "I'm eighty-one and live on my own.",
    "The children find it all very exciting.",
    "My wife wanted me to write to you.",
    "We rent, and the landlord knows about it.",
    "I work nights, so mornings are bad for calls.",
    "Our doorbell is broken, so please knock.",
)
BUSINESS_BACKSTORIES: tuple[str, ...] = (
    "My staff keep asking me about it.",
    "We open at eight and close at six.",
    "The bookkeeper is copied in on this.",
    "Deliveries go to the rear entrance, please.",
    "We have an inspection coming up on {date}.",
    "Our customers mustn't be disturbed.",
    "The invoice goes to head office as always.",
    "There's someone on site from seven onwards.",
)

DISTRACTORS: tuple[str, ...] = (
    "The {o} is fine.",
    "Our {o} gives no trouble at all.",
    "Before you ask, the {o} is not the problem.",
    "No complaints about the {o}, quite the contrary.",
    "I checked the {o} as well and found nothing wrong there.",
    "The {o} we bought along with it does its job.",
    "I've left the {o} as it was.",
    "The {o} has been a joy, for what it's worth.",
    "Please leave the {o} out of this, it's good.",
    "It has nothing to do with the {o}, I'm sure of that.",
    "My first thought was the {o}, but that's innocent.",
    "Your colleague blamed the {o}, wrongly.",
    "We also own the {o}, which needs nothing from you.",
    "By contrast the {o} is a quiet hero.",
)
TWO_DISTRACTORS: tuple[str, ...] = (
    "The {o} and the {o2} are both fine.",
    "Neither the {o} nor the {o2} needs any attention.",
    "We have the {o2} and the {o} too, both in good order.",
    "No issue with the {o} or the {o2}.",
)

# What the customer wants.  "it" banks follow the incident directly; {p} banks
# may stand anywhere.
ASKS: dict[str, tuple[str, ...]] = {
    "repair": (
        "Please get it mended.",
        "Can this be repaired?",
        "I'd like it fixed, not replaced by a voucher.",
        "What can you do to put it right?",
        "I don't want my money back, I want it working.",
        "When can I expect it to be repaired?",
        "Please arrange a repair.",
        "It needs to be looked at by one of your technicians.",
        "Kindly see that it gets fixed.",
        "I take it this is covered, so please repair it.",
        "How soon can you get it sorted?",
        "Fix it, please.",
    ),
    "connect": (
        "Please help me get it linked again.",
        "How do we get it back online?",
        "Can you do something from your end to connect it?",
        "I only want it on the network.",
        "Is there something to reset on your server?",
        "I'd be glad of help with the connection.",
        "What could be blocking it?",
        "I don't want to send it in, it merely has to connect.",
        "Please check whether you can see it on your side.",
        "I've restarted all there is to restart.",
    ),
    "refund": (
        "I want my money back.",
        "Please refund me.",
        "Kindly pay back the amount in question.",
        "I'd like to be reimbursed, please, no repair and no swap.",
        "I must ask you to return the money to my card.",
        "Please credit it to my account.",
        "What I want is a refund.",
        "Send the money back and we are quits.",
        "I'm claiming a refund for this.",
        "Please transfer the sum back to me.",
        "Money back, please, I won't take a replacement.",
    ),
    "order": (
        "Please tell me the total with delivery.",
        "Same delivery address as before.",
        "You may charge the card you have on file.",
        "I can also collect.",
        "A short confirmation would be nice.",
        "How long does delivery take at the moment?",
        "Let me know how I should pay.",
    ),
    "howto": (
        "A short explanation will do.",
        "Thanks for explaining.",
        "A link to the right page would be enough.",
        "I couldn't find the answer anywhere.",
        "Please tell me step by step.",
        "It is surely simple once one knows.",
        "Just tell me how, I'll do the rest.",
    ),
    "cancel": (
        "Please confirm in writing.",
        "A line to say it's done would be enough.",
        "Please don't try to talk me out of it.",
        "No hard feelings.",
        "I trust there's no fee for that.",
        "Please treat this as my formal notice.",
        "I've thought it over carefully.",
    ),
}
ASKS_NAMED: dict[str, tuple[str, ...]] = {
    "repair": (
        "I need the {p} repaired.",
        "Please have a look at the {p} for us.",
        "The {p} has to be fixed.",
        "I'm reporting a fault with the {p}.",
        "Could somebody deal with the faulty {p}?",
    ),
    "connect": (
        "I need help connecting the {p}.",
        "This is about the connection of the {p}.",
        "Could you help get the {p} linked?",
        "Trouble with the network side of the {p}.",
    ),
    "refund": (
        "I want my money back for the {p}.",
        "I'm asking for a refund on the {p}.",
        "Please refund what I overpaid or lost on the {p}.",
        "This is a refund claim regarding the {p}.",
        "I would like to be paid back for the {p}, here's why.",
    ),
    "order": (
        "I'd like to place an order.",
        "I want to buy something from you.",
        "A small order for you today.",
    ),
    "howto": (
        "I have a question about the {p}.",
        "Just a question.",
        "Could you enlighten me about the {p}?",
    ),
    "cancel": (
        "I have something to cancel.",
        "A cancellation, I'm afraid.",
        "I need you to cancel something for me.",
    ),
}

PHOTO_YES: tuple[str, ...] = (
    "Photo attached.",
    "I've attached a picture.",
    "See the attached photo.",
    "Two pictures are attached so you can see what I mean.",
    "My daughter took a photo, it's attached.",
    "Picture enclosed.",
    "I am adding a snapshot to this message.",
    "Please find a photograph enclosed.",
    "Have a look at the image I've attached.",
    "The attached photo says it all.",
    "Attached is a picture, for what it's worth.",
    "I put a photo in with this.",
)
PHOTO_YES_SHORT: tuple[str, ...] = (
    "pic attached",
    "photo attached",
    "see attached pic",
    "photo enclosed",
)
PHOTO_NO: tuple[str, ...] = (
    "I can send a photo if that helps.",
    "No pictures, I'm afraid, my phone is ancient.",
    "I tried to take a photo but it was too dark.",
    "Tell me if you need a picture and I'll take one.",
    "The photo I took is too large to send.",
    "There's nothing to see in a photo, so I took none.",
    "I'll post you a picture tomorrow if you like.",
    "A picture would show nothing.",
)
PHOTO_NO_SHORT: tuple[str, ...] = ("no pic sorry", "can send a pic", "photo later if needed")

CLOSINGS: tuple[str, ...] = (
    "Thanks,",
    "Many thanks,",
    "Best,",
    "Cheers,",
    "Kind regards,",
    "Regards,",
    "All the best,",
    "Thank you,",
    "Thanks in advance,",
    "Yours,",
    "Best wishes,",
)
FORMAL_CLOSINGS: tuple[str, ...] = (
    "Yours faithfully,",
    "Yours sincerely,",
    "Respectfully,",
    "With kind regards,",
)
LAST_WORDS: tuple[str, ...] = (
    "Afternoons suit me best.",
    "Please reply by e-mail.",
    "I hope to hear from you soon.",
    "Thanks for your patience.",
    "You can also text me.",
    "Sorry for the bother.",
    "Have a good week.",
    "Looking forward to your answer.",
    "Please don't ring before nine.",
    "I'm sure you will find a way.",
    "No need to phone.",
    "That's all.",
)
PEOPLE: tuple[str, ...] = (
    "M. Okafor",
    "Greta Lindqvist",
    "Tom Harrow",
    "Mrs Penhale",
    "Yusuf",
    "A. Brandt",
    "Siobhan",
    "R. Castellano",
    "Noor",
    "Wilf Atkin",
    "J. Przybylski",
    "Dana",
    "Mr Oyelaran",
    "Kit",
    "H. Vance",
    "Ines Duarte",
    "Bertie",
    "P. Szabo",
    "Lena M.",
    "Colin Marsden",
    "Fatima R.",
    "Old Joe",
    "Ms Tran",
    "Hedda",
)

SUBJECTS: tuple[str, ...] = (
    "your equipment",
    "a matter for you",
    "please read",
    "my account",
    "one more thing",
    "customer message",
    "Brackwater",
    "from a customer",
    "hoping you can help",
    "(no subject)",
)
FORWARD_HEADS: tuple[str, ...] = (
    "FW: {subject}\nThis came to the wrong inbox, passing it on.",
    "---- Forwarded message ----\nFrom: {person}\nSubject: {subject}",
    "Fwd: {subject}\nSent: {date}\nFrom: {person}",
    "Forwarding from the shop counter, {date}:",
)
BULLET_HEADS: tuple[str, ...] = (
    "In short:",
    "Facts:",
    "Summary for your file",
    "Ticket",
    "Details below.",
    "Briefly:",
)
VOICE_HEADS: tuple[str, ...] = (
    "[Voicemail, transcribed]",
    "Transcript of a call, {date}:",
    "[Phone message]",
    "(left on the answering machine)",
)
VOICE_FILLERS: tuple[str, ...] = (
    "Er, hello, it's {person} here.",
    "Yes, hello, {person} speaking.",
    "Right, is this thing recording? It's {person}.",
    "Um, hi, my name is {person}.",
)
CHAT_HEADS: tuple[str, ...] = (
    "[chat] visitor:",
    "Chat log, {date}\nGuest:",
    "via web chat >",
    "[live chat, agent offline]",
)

WHEN: tuple[str, ...] = (
    "since Tuesday",
    "since the weekend",
    "for three days now",
    "since {date}",
    "for about a week",
    "since last night",
    "for a good fortnight",
    "since Monday morning",
    "for the past two days",
    "since the storm",
)
ROOMS: tuple[str, ...] = (
    "utility room",
    "back corridor",
    "boiler cupboard",
    "kitchen",
    "hallway",
    "laundry room",
    "basement",
    "pantry",
)
MONTHS: tuple[str, ...] = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
