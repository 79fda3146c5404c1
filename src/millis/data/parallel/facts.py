"""Sentences of their own that customers say: orders, deliveries, bills, plans, visits, and what is said around them.

A fact is three lines, English, German and Chinese, and behind a bar what `{x}` may be. Placeholders are those of
`millis.data.parallel.actions`, and values (`millis.data.parallel.values.draw`).
"""

from typing import NamedTuple

from millis.data.parallel.lexicon import Triple, triples

OF_CUSTOMERS = """
Where is {my:parcel}?
Wo ist {my:parcel:nom}?
{my:parcel}在哪里？
When will {my:order} arrive?
Wann kommt {my:order:nom} an?
{my:order}什么时候到？
My order number is {order}.
Meine Bestellnummer lautet {order}.
我的订单号是{order}。
My customer number is {customer}.
Meine Kundennummer ist {customer}.
我的客户号是{customer}。
I placed order {order} {past}.
Ich habe {past} die Bestellung {order} aufgegeben.
我{past}下了订单{order}。
Order {order} has still not arrived.
Die Bestellung {order} ist immer noch nicht angekommen.
订单{order}到现在还没有送到。
{my:parcel} should have arrived {past}.
{my:parcel:nom} hätte {past} ankommen sollen.
{my:parcel}{past}就应该到了。
The tracking says that {my:parcel} was delivered {past}.
In der Sendungsverfolgung steht, dass {my:parcel:nom} {past} zugestellt wurde.
物流信息显示{my:parcel}{past}已经送达。
Instead of {x} I received {y}.
Statt {x:gen} habe ich {y:acc} erhalten.
我收到的不是{x}，而是{y}。 | new item
I ordered {x}, but only one was in the parcel.
Ich habe {x:acc} bestellt, aber im Paket war nur ein Stück.
我订购了{x}，但是包裹里只有一件。 | many item
Was {my:order} sent {past}?
Wurde {my:order:nom} {past} verschickt?
{my:order}{past}发货了吗？
Can {my:parcel} be delivered {future}?
Kann {my:parcel:nom} {future} zugestellt werden?
{my:parcel}可以{future}送到吗？
I will not be at home {future}.
Ich bin {future} nicht zu Hause.
我{future}不在家。
I am only at home after {clock}.
Ich bin erst ab {clock} zu Hause.
我{clock}以后才在家。
The courier came at {clock}, but nobody was at home.
Der Paketbote kam um {clock}, aber es war niemand zu Hause.
快递员{clock}来过，但是家里没有人。
The courier left {my:parcel} in the rain.
Der Paketbote hat {my:parcel:acc} im Regen stehen lassen.
快递员把{my:parcel}放在了雨里。
{my:bill} is {amount} too high.
{my:bill:nom} ist um {amount} zu hoch.
{my:bill}多算了{amount}。
Why is {my:bill} higher than last month?
Warum ist {my:bill:nom} höher als letzten Monat?
为什么{my:bill}比上个月高？
{amount} was debited from {my:giro} {past}.
{past} wurden {amount} von {my:giro:dat} abgebucht.
{past}从{my:giro}扣了{amount}。
I paid {amount} {past}.
Ich habe {past} {amount} bezahlt.
我{past}付了{amount}。
You charged me {amount} twice.
Sie haben mir {amount} doppelt berechnet.
你们重复收了我{amount}。
I have been waiting for {my:refund} {since}.
Ich warte {since} auf {my:refund:acc}.
我{since}一直在等{my:refund}。
When will I get {my:refund} of {amount}?
Wann bekomme ich {my:refund:acc} in Höhe von {amount}?
我什么时候能收到{amount}的退款？
How much does {x} cost?
Wie viel kostet {x:nom}?
{x}多少钱？ | known one item
Is {x} still available?
Ist {x:nom} noch lieferbar?
{x}还有货吗？ | known one item
Do you also have {x} in {colour}?
Haben Sie {x:acc} auch in {colour}?
{x}有{colour}的吗？ | known plain item
How long is the warranty on {x}?
Wie lange gilt die Garantie für {x:acc}?
{x}的保修期是多久？ | power
Does {x} work with {my:phone}?
Funktioniert {x:nom} mit {my:phone:dat}?
{x}可以和{my:phone}一起使用吗？ | one smart
Which cable do I need for {x}?
Welches Kabel brauche ich für {x:acc}?
{x}需要用哪种线？ | power
I am looking for {x} for less than {amount}.
Ich suche {x:acc} für weniger als {amount}.
我想找{x}，价格在{amount}以下。 | new item
There is no manual in the box of {x}.
In der Schachtel {x:gen} liegt keine Anleitung.
{x}的盒子里没有说明书。 | power
My internet has been down {since}.
Mein Internet funktioniert {since} nicht.
我的网络{since}就断了。
The internet is very slow in the evening.
Abends ist das Internet sehr langsam.
晚上网络很慢。
I have had no signal {since}.
Ich habe {since} keinen Empfang.
我{since}就没有信号。
{my:contract} ends on {date}.
{my:contract:nom} endet am {date}.
{my:contract}{date}到期。
How long does {my:contract} still run?
Wie lange läuft {my:contract:nom} noch?
{my:contract}还有多久到期？
What is the notice period of {my:contract}?
Welche Kündigungsfrist hat {my:contract:nom}?
{my:contract}需要提前多久通知解除？
Is there a plan for less than {amount} a month?
Gibt es einen Tarif für weniger als {amount} im Monat?
有没有每月低于{amount}的套餐？
{my:allowance} is already used up.
{my:allowance:nom} ist schon aufgebraucht.
{my:allowance}已经用完了。
I have forgotten {my:password}.
Ich habe {my:password:acc} vergessen.
我忘记了{my:password}。
{my:account} has been locked {since}.
{my:account:nom} ist {since} gesperrt.
{my:account}{since}就被锁定了。
Someone has logged in to {my:account}.
Jemand hat sich in {my:account:dat} angemeldet.
有人登录了{my:account}。
I did not receive an email from you.
Ich habe keine E-Mail von Ihnen bekommen.
我没有收到你们的邮件。
My phone was stolen {past}.
Mein Handy wurde {past} gestohlen.
我的手机{past}被偷了。
I lost my SIM card {past}.
Ich habe {past} meine SIM-Karte verloren.
我{past}弄丢了SIM卡。
I moved house {past}.
Ich bin {past} umgezogen.
我{past}搬家了。
My new address has been valid {since}.
Meine neue Adresse gilt {since}.
我的新地址{since}有效。
Nobody came for {my:appointment} {past}.
Zu {my:appointment:dat} ist {past} niemand gekommen.
{past}预约的时间没有人来。
Can the technician come {future} at {clock}?
Kann der Techniker {future} um {clock} kommen?
技术员可以{future}{clock}来吗？
The technician was here {past}, but the fault is still there.
Der Techniker war {past} da, aber die Störung besteht weiterhin.
技术员{past}来过，但是故障还在。
I need {x} by {date}.
Ich brauche {x:acc} bis zum {date}.
我{date}之前需要{x}。 | new item
{x} was a present for my daughter.
{x:nom} war ein Geschenk für meine Tochter.
{x}是送给我女儿的礼物。 | known one item
I have two questions about {my:order}.
Ich habe zwei Fragen zu {my:order:dat}.
关于{my:order}，我有两个问题。
I have written to you {count} times.
Ich habe Ihnen schon {count} geschrieben.
我已经给你们写了{count}信。
I have been a customer of yours for {years}.
Ich bin seit {years:dat} Kunde bei Ihnen.
我做你们的客户已经{years}了。
I have already been waiting for {days}.
Ich warte schon seit {days:dat}.
我已经等了{days}。
I am very satisfied with {x}.
Ich bin mit {x:dat} sehr zufrieden.
我对{x}非常满意。 | item
I am not satisfied with {x}.
Ich bin mit {x:dat} nicht zufrieden.
我对{x}不满意。 | item
Thank you for your quick help.
Vielen Dank für Ihre schnelle Hilfe.
谢谢你们的及时帮助。
That is not good enough for me.
Das reicht mir nicht.
这对我来说还不够好。
I would like to speak to your manager {future}.
Ich möchte {future} mit Ihrem Vorgesetzten sprechen.
我想{future}和您的上司谈谈。
The hotline has been busy {since}.
Die Hotline ist {since} besetzt.
客服热线{since}一直占线。
On {date} I returned {x}.
Am {date} habe ich {x:acc} zurückgegeben.
我在{date}退回了{x}。 | item
I bought {x} in your shop for {amount}.
Ich habe {x:acc} in Ihrer Filiale für {amount} gekauft.
我在你们的门店花{amount}买了{x}。 | known one item
The battery of {x} only lasts {hours}.
Der Akku {x:gen} hält nur {hours:acc}.
{x}的电池只能用{hours}。 | battery
The screen of {x} stays black.
Der Bildschirm {x:gen} bleibt schwarz.
{x}的屏幕一直是黑的。 | smart
The left button of {x} is stuck.
Die linke Taste {x:gen} klemmt.
{x}左边的按键卡住了。 | power
The plug of {x} does not fit.
Der Stecker {x:gen} passt nicht.
{x}的插头不合适。 | power
A part of {x} is missing.
Ein Teil {x:gen} fehlt.
{x}少了一个零件。 | item
The packaging of {x} was open.
Die Verpackung {x:gen} war offen.
{x}的包装是打开的。 | item
Your delivery costs of {amount} are too high for me.
Ihre Versandkosten von {amount} sind mir zu hoch.
你们{amount}的运费对我来说太高了。
I transferred {amount} to you {past}.
Ich habe Ihnen {past} {amount} überwiesen.
我{past}给你们转了{amount}。
Please deduct the {amount} from my next bill.
Bitte ziehen Sie die {amount} von meiner nächsten Rechnung ab.
请从我的下一份账单中扣除这{amount}。
The discount of {amount} is missing on {my:bill}.
Auf {my:bill:dat} fehlt der Rabatt von {amount}.
{my:bill}上没有{amount}的优惠。
On the website {x} costs {amount}, but in the shop it is cheaper.
Auf der Website kostet {x:nom} {amount}, aber in der Filiale ist {er:nom} billiger.
网站上{x}卖{amount}，但是门店里更便宜。 | known one item
I paid for the order by bank transfer on {date}.
Ich habe die Bestellung am {date} per Überweisung bezahlt.
我{date}用银行转账付了订单的款。
Two of the three parcels have arrived, the last one is missing.
Zwei der drei Pakete sind angekommen, das letzte fehlt.
三个包裹到了两个，最后一个还没有到。
Could you check whether {my:payment} has arrived?
Könnten Sie prüfen, ob {my:payment:nom} eingegangen ist?
您能查一下{my:payment}到账了吗？
I do not agree with the new price of {amount}.
Mit dem neuen Preis von {amount} bin ich nicht einverstanden.
我不同意{amount}的新价格。
The door was damaged when {x} {were} delivered.
Bei der Lieferung {x:gen} wurde die Tür beschädigt.
送{x}的时候，门被碰坏了。 | large
Nobody helped me to carry {x} upstairs.
Niemand hat mir geholfen, {x:acc} nach oben zu tragen.
没有人帮我把{x}搬上楼。 | large
I live on the fourth floor, and there is no lift.
Ich wohne im vierten Stock, und es gibt keinen Aufzug.
我住在五楼，没有电梯。
Is there a student discount on {x}?
Gibt es auf {x:acc} einen Studentenrabatt?
{x}有学生优惠吗？ | known item
The instructions for {x} are only in French.
Die Anleitung für {x:acc} gibt es nur auf Französisch.
{x}的说明书只有法语的。 | power
Can I use {x} abroad as well?
Kann ich {x:acc} auch im Ausland benutzen?
我在国外也可以用{x}吗？ | battery
I dropped {x}, and now it no longer works.
{x:nom} ist mir heruntergefallen, und jetzt funktioniert {er:nom} nicht mehr.
我把{x}摔了，现在它不能用了。 | one battery
{x} fell into the water {past}.
{x:nom} ist mir {past} ins Wasser gefallen.
{x}{past}掉进了水里。 | one battery
My daughter lost the cable of {x}.
Meine Tochter hat das Kabel {x:gen} verloren.
我女儿弄丢了{x}的线。 | smart
We want to give our grandmother {x} for her birthday.
Wir möchten unserer Großmutter {x:acc} zum Geburtstag schenken.
我们想送{x}给奶奶当生日礼物。 | new one gadget
I would rather come to the shop myself {future}.
Ich komme lieber {future} selbst in die Filiale.
我更想{future}亲自去门店。
Please write to me in English, my German is not very good.
Bitte schreiben Sie mir auf Englisch, mein Deutsch ist nicht sehr gut.
请用英语给我写信，我的德语不太好。
I am deaf, so please do not call me.
Ich bin gehörlos, bitte rufen Sie mich nicht an.
我听不见，请不要给我打电话。
You can see the damage to {x} in the photo.
Auf dem Foto sieht man den Schaden an {x:dat}.
从照片上可以看到{x}的损坏。 | item
"""


class Fact(NamedTuple):
    """A sentence.

    Args:
        kind: What `{x}` is; empty where there is none.
        marks: What `{x}` is, as `millis.data.parallel.generate.phrase` has it.
    """

    said: Triple
    kind: str
    marks: frozenset[str]


MARKS = {"new", "known", "my", "one", "many", "plain"}


def facts(table: str) -> list[Fact]:
    """Those of a table."""
    return [Fact(said, "".join(words - MARKS), words & MARKS) for said, words in triples(table)]


BY_CUSTOMERS = facts(OF_CUSTOMERS)
