"""The lexicon: each entry in three languages, German nouns with gender and plural, Chinese ones with a measure word."""

from typing import NamedTuple

from millis.data.parallel.german import Noun


class Thing(NamedTuple):
    """Something that can be spoken of.

    Args:
        kinds: What can be done with it, or said of it.
    """

    english: str
    german: Noun
    chinese: str
    measure: str
    kinds: frozenset[str]


class Triple(NamedTuple):
    """The same in three languages."""

    english: str
    german: str
    chinese: str


# English | German noun, gender, plural | Chinese, measure word | kinds. All are items; smart ones have programs and a
# battery or a network, power ones are switched on, and gadgets are sent by post.
ITEMS = """
phone | Handy n Handys | 手机 部 | smart battery power gadget
tablet | Tablet n Tablets | 平板电脑 台 | smart battery power gadget
laptop | Laptop m Laptops | 笔记本电脑 台 | smart battery power gadget
router | Router m Router | 路由器 台 | smart power gadget
charger | Ladegerät n Ladegeräte | 充电器 个 | gadget
charging cable | Ladekabel n Ladekabel | 充电线 条 | gadget
headset | Headset n Headsets | 耳机 副 | battery power gadget
desk lamp | Schreibtischlampe f Schreibtischlampen | 台灯 盏 | power gadget
floor lamp | Stehlampe f Stehlampen | 落地灯 盏 | power large
kettle | Wasserkocher m Wasserkocher | 电水壶 个 | power water gadget
toaster | Toaster m Toaster | 烤面包机 台 | power gadget
coffee machine | Kaffeemaschine f Kaffeemaschinen | 咖啡机 台 | power water gadget
blender | Mixer m Mixer | 搅拌机 台 | power gadget
vacuum cleaner | Staubsauger m Staubsauger | 吸尘器 台 | power noisy gadget
robot vacuum | Saugroboter m Saugroboter | 扫地机器人 台 | smart battery power noisy gadget
washing machine | Waschmaschine f Waschmaschinen | 洗衣机 台 | power water noisy large
tumble dryer | Trockner m Trockner | 烘干机 台 | power noisy large
dishwasher | Spülmaschine f Spülmaschinen | 洗碗机 台 | power water noisy large
fridge | Kühlschrank m Kühlschränke | 冰箱 台 | power noisy large
oven | Backofen m Backöfen | 烤箱 台 | power large
microwave | Mikrowelle f Mikrowellen | 微波炉 台 | power gadget
fan | Ventilator m Ventilatoren | 电风扇 台 | power noisy gadget
heater | Heizgerät n Heizgeräte | 取暖器 台 | power gadget
air purifier | Luftreiniger m Luftreiniger | 空气净化器 台 | smart power noisy gadget
camera | Kamera f Kameras | 相机 台 | smart battery power gadget
webcam | Webcam f Webcams | 摄像头 个 | smart power gadget
loudspeaker | Lautsprecher m Lautsprecher | 音箱 个 | smart power gadget
radio | Radio n Radios | 收音机 台 | power gadget
television | Fernseher m Fernseher | 电视机 台 | smart power large
remote control | Fernbedienung f Fernbedienungen | 遥控器 个 | gadget
monitor | Monitor m Monitore | 显示器 台 | power gadget
keyboard | Tastatur f Tastaturen | 键盘 个 | gadget
mouse | Maus f Mäuse | 鼠标 个 | gadget
printer | Drucker m Drucker | 打印机 台 | smart power noisy gadget
scanner | Scanner m Scanner | 扫描仪 台 | smart power gadget
projector | Beamer m Beamer | 投影仪 台 | smart power noisy gadget
smartwatch | Smartwatch f Smartwatches | 智能手表 块 | smart battery power gadget
fitness tracker | Fitnessarmband n Fitnessarmbänder | 运动手环 个 | smart battery power gadget
battery | Akku m Akkus | 电池 块 | gadget
power bank | Powerbank f Powerbanks | 充电宝 个 | battery gadget
adapter | Adapter m Adapter | 转接器 个 | gadget
memory card | Speicherkarte f Speicherkarten | 存储卡 张 | gadget
hard drive | Festplatte f Festplatten | 硬盘 块 | gadget
hairdryer | Föhn m Föhne | 吹风机 个 | power noisy gadget
shaver | Rasierer m Rasierer | 剃须刀 把 | battery power gadget
iron | Bügeleisen n Bügeleisen | 电熨斗 个 | power water gadget
doorbell | Türklingel f Türklingeln | 门铃 个 | smart power gadget
thermostat | Thermostat n Thermostate | 温控器 个 | smart power gadget
smoke alarm | Rauchmelder m Rauchmelder | 烟雾报警器 个 | gadget
alarm clock | Wecker m Wecker | 闹钟 个 | power gadget
phone case | Handyhülle f Handyhüllen | 手机壳 个 | cover gadget
screen protector | Schutzfolie f Schutzfolien | 保护膜 张 | cover gadget
extension lead | Verlängerungskabel n Verlängerungskabel | 延长线 条 | gadget
microphone | Mikrofon n Mikrofone | 麦克风 个 | power gadget
games console | Spielkonsole f Spielkonsolen | 游戏机 台 | smart power noisy gadget
e-reader | E-Reader m E-Reader | 电子书阅读器 台 | smart battery power gadget
sewing machine | Nähmaschine f Nähmaschinen | 缝纫机 台 | power noisy gadget
rice cooker | Reiskocher m Reiskocher | 电饭煲 个 | power gadget
"""

# Papers and cards.
PAPERS = """
invoice | Rechnung f Rechnungen | 发票 张 | paper file sums
receipt | Quittung f Quittungen | 收据 张 | paper file sums
delivery note | Lieferschein m Lieferscheine | 送货单 张 | paper file sums
return label | Rücksendeetikett n Rücksendeetiketten | 退货标签 张 | paper file
user manual | Bedienungsanleitung f Bedienungsanleitungen | 说明书 本 | paper file
quotation | Angebot n Angebote | 报价单 份 | paper file sums
order form | Bestellformular n Bestellformulare | 订货单 张 | paper file
warranty card | Garantiekarte f Garantiekarten | 保修卡 张 | paper
gift card | Geschenkkarte f Geschenkkarten | 礼品卡 张 | paper card
voucher | Gutschein m Gutscheine | 优惠券 张 | paper card
catalogue | Katalog m Kataloge | 商品目录 本 | paper
SIM card | SIM-Karte f SIM-Karten | SIM卡 张 | card
"""

# What a customer has, and rules speak of by name: key | English | German | Chinese.
OWN = """
order | order | Bestellung f Bestellungen | 订单 份
parcel | parcel | Paket n Pakete | 包裹 个
account | account | Konto n Konten | 账户 个
password | password | Passwort n Passwörter | 密码 个
address | delivery address | Lieferadresse f Lieferadressen | 收货地址 个
email | email address | E-Mail-Adresse f E-Mail-Adressen | 邮箱地址 个
number | phone number | Telefonnummer f Telefonnummern | 电话号码 个
bank | bank details | Bankverbindung f Bankverbindungen | 银行账户信息 份
subscription | subscription | Abonnement n Abonnements | 订阅 个
contract | contract | Vertrag m Verträge | 合同 份
plan | plan | Tarif m Tarife | 套餐 个
appointment | appointment | Termin m Termine | 预约 个
bill | bill | Rechnung f Rechnungen | 账单 份
payment | payment | Zahlung f Zahlungen | 付款 笔
connection | internet connection | Internetverbindung f Internetverbindungen | 网络连接 个
allowance | data allowance | Datenvolumen n - | 流量 个
complaint | complaint | Beschwerde f Beschwerden | 投诉 个
question | question | Frage f Fragen | 问题 个
return | return | Rücksendung f Rücksendungen | 退货 个
sim | SIM card | SIM-Karte f SIM-Karten | SIM卡 张
data | personal data | Daten p Daten | 个人信息 个
phone | phone | Handy n Handys | 手机 部
router | router | Router m Router | 路由器 台
kitchen | kitchen | Küche f Küchen | 厨房 个
refund | refund | Rückerstattung f Rückerstattungen | 退款 笔
order_number | order number | Bestellnummer f Bestellnummern | 订单号 个
customer_number | customer number | Kundennummer f Kundennummern | 客户号 个
giro | bank account | Bankkonto n Bankkonten | 银行账户 个
warranty | warranty | Garantie f Garantien | 保修 个
"""

ADJECTIVES = """
new | neu | 新
black | schwarz | 黑色的
white | weiß | 白色的
blue | blau | 蓝色的
red | rot | 红色的
green | grün | 绿色的
grey | grau | 灰色的
small | klein | 小
large | groß | 大
old | alt | 旧
"""

MODELS = ("Kestrel-5", "Kestrel-7", "Brook-X2", "Heron-30", "Linnet-S", "Dunlin-12", "Plover-3", "Curlew-9")
"""Invented names of models, copied as they are."""


def _thing(row: str) -> Thing:
    english, german, chinese, kinds = (part.strip() for part in row.split("|"))
    word, gender, plural = german.rsplit(" ", 2)
    noun, measure = chinese.split()
    return Thing(english, Noun(word, gender, plural), noun, measure, frozenset(kinds.split()))  # type: ignore[arg-type]


def rows(table: str) -> list[str]:
    """The rows of a table."""
    return table.strip().splitlines()


def triples(table: str) -> list[tuple[Triple, frozenset[str]]]:
    """Every three lines of a table, and the words behind the last one's bar."""
    lines = rows(table)
    found = []
    for english, german, last in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        chinese, _, marks = last.partition(" | ")
        found.append((Triple(english, german, chinese), frozenset(marks.split())))
    return found


THINGS = [
    *(thing._replace(kinds=thing.kinds | {"item"}) for thing in map(_thing, rows(ITEMS))),
    *map(_thing, rows(PAPERS)),
]
POSSESSIONS = {key.strip(): _thing(f"{rest}|") for key, _, rest in (row.partition("|") for row in rows(OWN))}
DESCRIPTIONS = [Triple(*(part.strip() for part in row.split("|"))) for row in rows(ADJECTIVES)]
