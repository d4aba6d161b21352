"""Ten kinds of message, eight templates each, and the things they are about."""

from __future__ import annotations

# One kind of message an entry: the keys of its record, then its templates. In a template {key} is a value and
# [...] a part that may be missing.
KINDS = {
    "order": """customer item quantity city order
Hello, {customer} here. Could you post {quantity} {item} to {city}?[ My reference is {order}.]
Please ship {quantity} {item} to our branch in {city}[ under order {order}]. Best wishes, {customer}
New purchase by {customer}: {quantity} {item}, destination {city}[, order no. {order}].
I would like to buy {quantity} {item}.[ Order {order}.] Send them to {customer}, {city}.
[{order}: ]{customer} has bought {quantity} {item}. Ship to {city}.
To the warehouse: pack {quantity} {item} for {customer} in {city}.[ The order number is {order}.]
From {city}, {customer} writes: we need {quantity} {item} soon.[ See order {order}.]
Dear shop, my {quantity} {item} have not arrived in {city}.[ I ordered under {order}.] Regards, {customer}""",
    "table": """name people day time phone
A table for {people} on {day} at {time}, please. The name is {name}[, phone {phone}].
Hi, I'm {name}. Do you have room for {people} of us {day} at {time}?[ Call me on {phone}.]
Reservation: {name}, {people} guests, {day}, {time}[, tel. {phone}].
Could we come at {time} on {day}? There will be {people} of us.[ My number is {phone}.] Thanks, {name}
{name} called and wants dinner for {people} this {day}, {time}.[ Ring back: {phone}.]
We are {people} and would like to eat with you on {day} around {time}. Booked by {name}[ ({phone})].
{day}, {time}: party of {people}, name {name}[, contact {phone}].
Please move my booking to {day}, {time}, and make it {people} people. {name}[, reachable at {phone}]""",
    "contact": """name company email phone
You can reach {name} of {company} at {email}[ or {phone}].
Best regards, {name}, {company}, {email}[, {phone}]
I met {name} from {company} at the fair. Mail: {email}.[ Mobile: {phone}.]
New lead: {company}, contact person {name}, {email}[, telephone {phone}].
Please add {email} to the list. It belongs to {name}, who works for {company}[ and answers {phone}].
My name is {name} and I write for {company}.[ Phone me at {phone}.] Replies go to {email}.
{company} has a new manager, {name}.[ Her line is {phone}.] Her address is {email}.
For questions about {company} write to {email}[ or dial {phone}] and ask for {name}.""",
    "invoice": """invoice company amount days
Invoice {invoice} from {company}: {amount} in total[, due in {days} days].
{company} has billed us {amount} under number {invoice}.[ We have {days} days to pay.]
Please pay {amount} to {company}[ within {days} days]. Quote {invoice}.
Reminder: {invoice} is open.[ You have {days} days left.] Transfer {amount} to {company}.
We received bill {invoice} over {amount}, issued by {company}[, payable within {days} days].
The sum of {amount} is owed to {company}, see document {invoice}.[ Terms: {days} days.]
{company}, account department: our invoice {invoice} amounts to {amount}.[ Payment term {days} days.]
Attached is {invoice}. {company} asks for {amount}[ and grants {days} days].""",
    "support": """user product version error
My {product} with firmware {version} has stopped working[ and shows {error}]. Can you help? {user}
{user} reports: {product} crashes since version {version}.[ Error code {error}.]
Ticket by {user}. Device: {product}. Software: {version}.[ Message: {error}.]
Since the update to {version} the {product} will not start.[ It says {error}.] Yours, {user}
Hi support, {user} again.[ I still get {error}.] The {product} runs release {version}.
[Code {error} came up. ]What is wrong with a {product} on {version}? Thank you, {user}
The {product} of our colleague {user} fails after installing {version}[, with error {error}].
Is {version} safe for the {product}?[ Mine ended with {error}.] Kind regards from {user}""",
    "parcel": """tracking recipient parcels city weight
Tracking {tracking}: {parcels} parcels for {recipient} in {city}[, {weight} kg].
The driver took {parcels} boxes. They go to {recipient}, {city}.[ Weight {weight} kg.] No. {tracking}.
{recipient} in {city} is waiting for {parcels} packages, shipment {tracking}[, together {weight} kg].
Delivery note {tracking}. Contents: {parcels} cartons[ of {weight} kg in all]. Deliver to {recipient}, {city}.
Where is {tracking}? {recipient} was promised {parcels} crates[ weighing {weight} kg] in {city}.
Dispatched today: {parcels} pieces[, {weight} kg], consignee {recipient}, {city}, code {tracking}.
Left at the depot in {city}: {parcels} bags for {recipient}[ ({weight} kg)], reference {tracking}.
{recipient} signed for {parcels} packets[ weighing {weight} kg] at our office in {city}. ID {tracking}.""",
    "hotel": """guest city nights price
{guest} stays {nights} nights in {city}[ at {price} a night].
Please book a room in {city} for {guest}, {nights} nights[, no more than {price} each].
Your stay in {city} is confirmed, {guest}: {nights} nights[, {price} per night].
I need a hotel in {city} for {nights} nights.[ My budget is {price} per night.] {guest}
Room for {guest}. Length of stay: {nights} nights. Place: {city}.[ Rate: {price}.]
We look forward to welcoming {guest} to {city} for {nights} nights.[ The room costs {price} a night.]
Can {guest} extend the visit to {city} to {nights} nights[ for {price} each]?
Traveller {guest} asks what {nights} nights in {city} cost.[ We quoted {price} a night.]""",
    "applicant": """name job years city salary
{name} applies as {job}. Experience: {years} years. Lives in {city}.[ Asks for {salary}.]
I am {name} from {city} and have worked as {job} for {years} years.[ I expect {salary}.]
Candidate {name}, {city}, {years} years as {job}[, salary wish {salary}].
After {years} years as {job} in {city} I look for a change.[ My last pay was {salary}.] {name}
Our new {job} is {name}, who brings {years} years of practice and moves here from {city}[, paid {salary}].
[Wanted salary: {salary}. ]Post: {job}. Name: {name}. Home: {city}. Years in the field: {years}.
Please invite {name} ({city}) for the post of {job}; {years} years in the trade[, would like {salary}].
With {years} years behind me I could start as your {job} at once.[ {salary} would suit me.] {name}, {city}""",
    "flight": """passenger flight origin destination seat
{passenger} flies from {origin} to {destination} on {flight}[, seat {seat}].
Boarding pass: {passenger}, {flight}, {origin} to {destination}[, seat {seat}].
Flight {flight} takes {passenger} to {destination}. It leaves from {origin}.[ Seat: {seat}.]
Please change my seat[, {seat},] on {flight} from {origin} to {destination}. My name is {passenger}.
From {origin} I go on to {destination} with {flight}.[ I sit in {seat}.] Yours, {passenger}
Check-in open for {flight}. Passenger {passenger}[, place {seat}], from {origin} to {destination}.
{flight} was cancelled.[ I had {seat}.] I, {passenger}, still need to get to {destination} from {origin}.
Going to {destination}: {passenger}[ in {seat}], coming from {origin} with {flight}.""",
    "expense": """employee amount category day project
{employee} spent {amount} on {category} on {day}[ for project {project}].
Please refund {amount} for {category}, paid last {day}.[ Charge it to {project}.] {employee}
Expense report of {employee}: {category}, {amount}, {day}[, project {project}].
On {day} I paid {amount} for {category}[ ({project})]. Signed: {employee}
The {category} cost {employee} {amount} this {day}.[ It belongs to {project}.]
[{project}: ]{amount} went into {category} on {day}, says {employee}.
Could {employee} have {amount} back? It was for {category} on {day}[, see {project}].
Claim filed {day}. Claimant: {employee}. Sum: {amount}. Purpose: {category}.[ Project: {project}.]""",
}
ITEMS = {
    "train": "desk lamps, oak chairs, paper towels, garden hoses, wall clocks, tea kettles, bath mats, "
    "coat hooks, bread knives, rubber boots, wool blankets, photo frames, steel shelves, dinner plates, "
    "key rings, ink pens, toner cartridges, yoga mats, door handles, headphones, bike helmets",
    "dev": "window blinds, rain jackets, salad bowls, tool boxes, table fans, sofa cushions, bird feeders",
    "test": "floor tiles, coffee mugs, office desks, water filters, beach towels, work gloves, "
    "picture books, power drills, soup spoons, ceiling lights, travel bags, hand mixers",
}
DEVICES = {
    "train": "router, laser printer, tablet, smart watch, webcam, dishwasher, scanner, thermostat, turntable",
    "dev": "doorbell camera, e-reader, projector",
    "test": "coffee machine, wireless speaker, network switch, robot vacuum, heart monitor",
}
COSTS = {
    "train": "parking, train tickets, lunch, printer paper, taxi rides, postage, software, fuel, cleaning",
    "dev": "catering, tolls, batteries",
    "test": "hotel rooms, bus fares, stationery, client dinners, repairs",
}
