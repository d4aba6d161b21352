"""The databases that are asked about: 66 small schemas, and two fillings of each.

A schema is a line: a table, the singular of its name, its label column and further columns. `=` lists the
values of a text column, `:` gives the range of a number, `~` marks a label that is a person's name. After ">"
comes a second table whose rows belong to rows of the first.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

LINES = """
pets pet name species=dog,cat,rabbit,parrot age:1-15 weight:2.0-40.0
cars car model brand=Fiat,Volvo,Honda,Skoda doors:2-5 price:4000-60000
phones phone model color=black,white,blue,green storage:32-512 price:90-1400
lakes lake name region=north,south,east,west depth:3-400 area:1.0-90.0
mountains mountain name country=Nepal,Chile,Kenya,Italy height:900-8800
hotels hotel name city=Rome,Lima,Cairo,Oslo stars:1-5 rooms:12-300
films film title genre=drama,comedy,horror,western duration:70-190 release_year:1950-2020
songs song title style=rock,jazz,folk,soul length:90-420 plays:100-90000
paintings painting title museum=Louvre,Prado,Tate,Uffizi width:20-300 value:1000-90000
recipes recipe title course=starter,main,dessert,snack minutes:5-180 calories:90-1200
employees employee name~ department=sales,finance,legal,support salary:2000-9000 age:19-66
nurses nurse name~ ward=surgery,cardiology,maternity,emergency shifts:1-28 experience:0-40
bridges bridge name material=steel,stone,wood,concrete length:10-2500 lanes:1-8
ships ship name type=tanker,ferry,cruiser,trawler crew:3-900 speed:8.0-38.0
planets planet name system=Vega,Altair,Rigel,Deneb moons:0-30 mass:0.1-90.0
stamps stamp title country=France,Brazil,India,Egypt issue_year:1880-2000 worth:1.0-950.0
wines wine name grape=merlot,malbec,riesling,syrah vintage_year:1970-2020 price:6-400
cheeses cheese name milk=cow,goat,sheep,buffalo fat:5-60 ripening_days:2-700
trails trail name level=easy,moderate,hard,expert distance:1.0-48.0 climb:10-2400
flights flight code airline=Delta,Qantas,Iberia,Finnair seats:40-400 delay:0-240
tickets ticket subject priority=low,normal,high,urgent replies:0-30 hours_open:1-500
servers server hostname datacenter=Dublin,Tokyo,Dallas,Sydney cores:2-96 memory:4-768
apps app title platform=android,ios,windows,linux downloads:100-90000 rating:1.0-5.0
trees tree name family=oak,pine,maple,birch height:2.0-60.0 planted_year:1900-2015
dinosaurs dinosaur name diet=plants,meat,fish,insects length:1.0-30.0 weight:20-9000
museums museum name theme=art,science,history,nature visitors:500-90000 entry_fee:0-30
bakeries bakery name district=harbor,center,hillside,station ovens:1-9 daily_loaves:50-900
volcanoes volcano name status=active,dormant,extinct elevation:300-6800 eruptions:0-80
languages language name script=Latin,Arabic,Cyrillic,Devanagari speakers:1000-90000 vowels:3-20
gardens garden name soil=clay,sand,peat,loam beds:2-40 area:20-3000
robots robot model task=welding,painting,packing,cleaning joints:3-12 payload:1-500
castles castle name style=gothic,norman,baroque,moorish towers:1-12 built_year:1050-1750
insects insect name habitat=forest,desert,marsh,meadow legs:6-12 wingspan:1-300
libraries library name borough=Camden,Hackney,Merton,Brent shelves:20-900 opened_year:1850-2015
coins coin title metal=gold,silver,copper,nickel diameter:10-40 minted_year:1600-2000
boats boat name harbor=Split,Cadiz,Bergen,Valletta length:4.0-30.0 berths:2-14
players player name~ position=goalkeeper,defender,midfielder,striker goals:0-60 caps:0-150
courses course title level=beginner,intermediate,advanced hours:4-120 fee:20-2000
ovens oven model fuel=gas,electric,wood capacity:20-120 power:900-9000
buildings building name purpose=office,housing,school,hospital floors:1-60 height:4-240
authors author name~ country=Kenya,Peru,Japan,Norway birth_year:1900-1990
  > books book title genre=crime,poetry,travel,history pages:80-900
customers customer name~ city=Paris,Turin,Porto,Ghent age:18-80
  > orders order code status=open,paid,shipped,returned total:5-900
doctors doctor name~ specialty=skin,heart,eyes,bones experience:1-40
  > visits visit code reason=pain,checkup,injury,fever minutes:5-90
teachers teacher name~ subject=maths,biology,music,latin salary:2000-6000
  > classes class title room=R1,R2,R3,R4 pupils:8-34
teams team name league=east,west,central founded_year:1900-2000
  > athletes athlete nickname role=captain,starter,reserve points:0-400
airlines airline name country=Spain,Qatar,Japan,Mexico fleet:5-300
  > planes plane tail_number maker=Boeing,Airbus,Embraer seats:40-400
artists artist name~ style=cubism,realism,baroque,pop birth_year:1850-1980
  > artworks artwork title medium=oil,ink,bronze,clay price:100-90000
farms farm name county=Kent,Devon,Essex,Surrey hectares:10-900
  > animals animal tag kind=cow,pig,goat,hen weight:2-800
directors director name~ nationality=Danish,French,Korean,Polish awards:0-30
  > movies movie title genre=thriller,comedy,drama,musical budget:10-900
suppliers supplier company country=China,Poland,Turkey,Canada rating:1-10
  > parts part label material=steel,rubber,glass,copper stock:0-900
departments department title building=north,south,annex,tower budget:1000-90000
  > workers worker name~ grade=junior,senior,lead,intern wage:12-90
restaurants restaurant name cuisine=thai,greek,indian,mexican seats:10-200
  > dishes dish title diet=vegan,meat,fish,dairy price:4.0-45.0
bands band name genre=punk,metal,folk,disco founded_year:1960-2015
  > albums album title format=vinyl,cassette,disc,digital sales:100-90000
cities city name continent=Asia,Africa,Europe,America population:900-90000
  > parks park title kind=botanic,sports,forest,lakeside hectares:1-300
schools school name district=north,south,east,west pupils:80-1500
  > clubs club title field=chess,drama,robotics,choir members:4-60
publishers publisher name country=Greece,Ghana,Chile,Sweden titles:20-900
  > magazines magazine headline frequency=weekly,monthly,yearly circulation:100-9000
landlords landlord name~ town=York,Bath,Leeds,Derby age:25-80
  > flats flat address heating=gas,oil,solar,district rent:300-3000
breeders breeder name~ state=Ohio,Texas,Utah,Iowa licenses:1-9
  > horses horse nickname coat=bay,gray,chestnut,black height:130-180
studios studio name city=Seoul,Osaka,Berlin,Austin staff:5-900
  > games game title genre=puzzle,racing,strategy,arcade score:10-100
warehouses warehouse name zone=A,B,C,D capacity:100-9000
  > parcels parcel label carrier=DHL,UPS,GLS,DPD weight:1.0-60.0
coaches coach name~ sport=rowing,judo,tennis,cycling salary:1500-9000
  > sessions session label venue=hall,pool,track,field attendees:2-60
banks bank name country=Austria,Malta,Panama,Japan branches:3-400
  > accounts account code type=savings,current,joint,student balance:10-9000
galleries gallery name country=Greece,Turkey,Mexico,Italy founded_year:1800-1990
  > exhibits exhibit title era=bronze,roman,medieval,modern age:50-4000
agents agent name~ agency=Nova,Apex,Orbit,Prime commission:1-30
  > listings listing address type=villa,loft,studio,cottage price:50000-900000
growers grower name~ valley=Loire,Napa,Douro,Rioja acres:5-600
  > harvests harvest label crop=grapes,olives,almonds,figs tons:1-400
airports airport code country=Iceland,Jordan,Brazil,Vietnam runways:1-6
  > gates gate label terminal=T1,T2,T3,T4 departures:5-240
"""
PARENT_ROWS, CHILD_ROWS, ROWS = 8, 26, 22
PEOPLE = (
    "Ada Amir Anna Anton Bea Boris Carla Carlos Dana Diego Elena Emil Fatima Felix Greta Hana Hugo Ines Ivan "
    "Jana Jonas Karim Lena Leo Maria Marco Nadia Nils Olga Omar Paula Pedro Rosa Samir Tara Tomas Vera Yusuf"
)
ADJECTIVES = (
    "Amber Azure Bright Brave Crystal Copper Dark Eastern Golden Grand Hidden Iron Lonely Misty Silver"
)
NOUNS = "Arrow Anchor Bay Crown Comet Falcon Harbor Island Lantern Meadow River Stone Summit Tiger"


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column: text with `values`, a number with `low` and `high`, or neither for the label.

    Attributes:
        decimals: 1 where the numbers are real, else 0.
    """

    name: str
    values: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    decimals: int = 0

    @property
    def words(self) -> str:
        """The name as a question says it."""
        return self.name.replace("_", " ")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table, and the table that its rows belong to if there is one."""

    name: str
    singular: str
    label: Column
    people: bool
    texts: tuple[Column, ...]
    numbers: tuple[Column, ...]
    parent: Table | None = None

    @property
    def key(self) -> str:
        """The column that holds the parent's id."""
        return f"{self.parent.singular}_id" if self.parent else ""

    @property
    def columns(self) -> tuple[str, ...]:
        """All column names in order."""
        named = (self.label, *self.texts, *self.numbers)
        return ("id", *([self.key] if self.parent else []), *(column.name for column in named))

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self.columns)})"


@cache
def schemas() -> dict[str, tuple[Table, ...]]:
    """The tables of every schema, by the name of its first table."""
    found: dict[str, tuple[Table, ...]] = {}
    for line in LINES.replace("\n  >", " >").strip().splitlines():
        parent, _, child = line.partition(" > ")
        first = _table(parent, None)
        found[first.name] = (first, _table(child, first)) if child else (first,)
    return found


def _table(text: str, parent: Table | None) -> Table:
    name, singular, label, *columns = text.split()
    texts, numbers = [], []
    for column in columns:
        if "=" in column:
            title, values = column.split("=")
            texts.append(Column(name=title, values=tuple(values.split(","))))
        else:
            title, ends = column.split(":")
            low, high = ends.split("-")
            numbers.append(Column(name=title, low=float(low), high=float(high), decimals=int("." in low)))
    return Table(
        name=name,
        singular=singular,
        label=Column(name=label.rstrip("~")),
        people=label.endswith("~"),
        texts=tuple(texts),
        numbers=tuple(numbers),
        parent=parent,
    )


@cache
def rows(schema: str, filling: int) -> dict[str, list[tuple[str | float, ...]]]:
    """The rows of every table in one filling, by table."""
    generator = random.Random(f"{schema}/{filling}")
    filled: dict[str, list[tuple[str | float, ...]]] = {}
    tables = schemas()[schema]
    things = [f"{first} {second}" for first in ADJECTIVES.split() for second in NOUNS.split()]
    for table in tables:
        count = CHILD_ROWS if table.parent else PARENT_ROWS if len(tables) > 1 else ROWS
        labels = PEOPLE.split() if table.people else things
        columns: list[list[str | float]] = [list(range(1, count + 1))]
        if table.parent:
            more = [generator.randint(1, PARENT_ROWS) for _ in range(count - PARENT_ROWS)]
            columns.append(
                [*range(1, PARENT_ROWS + 1), *more]
            )  # an outer join finds no more than an inner one
        columns.append(list(generator.sample(labels, count)))
        columns += [[generator.choice(column.values) for _ in range(count)] for column in table.texts]
        columns += [_numbers(column, count, generator) for column in table.numbers]
        filled[table.name] = list(zip(*columns, strict=True))
    return filled


def _numbers(column: Column, count: int, generator: random.Random) -> list[str | float]:
    """Numbers without repeats where the range is wide enough, so that sorting by them leaves no ties."""
    scale = 10**column.decimals
    span = range(int(column.low * scale), int(column.high * scale) + 1)
    drawn = generator.sample(span, count) if len(span) >= 2 * count else generator.choices(span, k=count)
    return [number / scale if column.decimals else number for number in drawn]


@cache
def script(schema: str, filling: int) -> str:
    """SQL that creates the tables of a schema and fills them."""
    statements = []
    for table in schemas()[schema]:
        numbers = {column.name: "REAL" if column.decimals else "INTEGER" for column in table.numbers}
        kinds = {"id": "INTEGER PRIMARY KEY", table.key: "INTEGER"} | numbers
        columns = ", ".join(f"{name} {kinds.get(name, 'TEXT')}" for name in table.columns)
        values = ", ".join(str(row) for row in rows(schema, filling)[table.name])
        statements += [f"CREATE TABLE {table.name}({columns});", f"INSERT INTO {table.name} VALUES {values};"]
    return "\n".join(statements)
