"""Sentences of their own that the company says, written as `millis.data.parallel.facts` are: `{my:KEY}` is your."""

from millis.data.parallel.facts import facts

OF_THE_COMPANY = """
Your parcel is on its way.
Ihr Paket ist unterwegs.
您的包裹正在路上。
{my:parcel} will be delivered {future}.
{my:parcel:nom} wird {future} zugestellt.
{my:parcel}将于{future}送达。
{my:parcel} was returned to us {past}.
{my:parcel:nom} wurde {past} an uns zurückgeschickt.
{my:parcel}{past}被退回给我们了。
{my:refund} of {amount} was paid out {past}.
{my:refund:nom} in Höhe von {amount} wurde {past} ausgezahlt.
您{amount}的退款{past}已经支付。
{my:payment} of {amount} has arrived.
{my:payment:nom} über {amount} ist eingegangen.
我们已经收到您{amount}的付款。
{my:appointment} is {future} at {clock}.
{my:appointment:nom} ist {future} um {clock}.
{my:appointment}时间是{future}{clock}。
{my:contract} runs until {date}.
{my:contract:nom} läuft bis zum {date}.
{my:contract}的有效期到{date}。
{my:warranty} is valid for {years}.
{my:warranty:nom} gilt {years:acc}.
{my:warranty}期是{years}。
What is your order number?
Wie lautet Ihre Bestellnummer?
您的订单号是多少？
Could you please give me your customer number?
Könnten Sie mir bitte Ihre Kundennummer nennen?
请问您的客户号是多少？
Please have your order number ready.
Bitte halten Sie Ihre Bestellnummer bereit.
请准备好您的订单号。
We are sorry for the delay.
Die Verspätung tut uns leid.
对于延误，我们深表歉意。
{x} is out of stock until {date}.
{x:nom} ist bis zum {date} nicht lieferbar.
{x}在{date}之前缺货。 | known one item
{x} costs {amount}.
{x:nom} kostet {amount}.
{x}的价格是{amount}。 | known one item
The shop is open from {clock}.
Die Filiale ist ab {clock} geöffnet.
门店{clock}开始营业。
The shop is closed {future}.
Die Filiale ist {future} geschlossen.
门店{future}不营业。
You will receive an answer within {days}.
Sie erhalten innerhalb von {days:dat} eine Antwort.
您会在{days}之内收到答复。
The repair of {x} takes {days}.
Die Reparatur {x:gen} dauert {days:acc}.
{x}的维修需要{days}。 | power
The delivery of {x} costs {amount}.
Die Lieferung {x:gen} kostet {amount}.
{x}的运费是{amount}。 | large
How long have you had {x}?
Wie lange haben Sie {x:acc} schon?
{x}用了多久？ | my power
When did you buy {x}?
Wann haben Sie {x:acc} gekauft?
您是什么时候买的{x}？ | known item
Which problem do you have with {x}?
Welches Problem haben Sie mit {x:dat}?
{x}出了什么问题？ | power
Please switch {x} off and on again.
Bitte schalten Sie {x:acc} aus und wieder ein.
请把{x}关掉再打开。 | power
Please do not open {x} yourself.
Bitte öffnen Sie {x:acc} nicht selbst.
请不要自己拆开{x}。 | power
Unfortunately there is no spare part for {x}.
Leider gibt es für {x:acc} kein Ersatzteil.
很遗憾，{x}没有备件。 | power
We could not find a fault in {x}.
Wir konnten bei {x:dat} keinen Fehler finden.
我们没有发现{x}有任何故障。 | power
{x} has been repaired and will be sent back {future}.
{x:nom} wurde repariert und wird {future} zurückgeschickt.
{x}已经修好，将于{future}寄回。 | one power
We will credit {amount} to your account {future}.
Wir schreiben Ihrem Konto {future} {amount} gut.
我们{future}会把{amount}存入您的账户。
Your last bill of {amount} has not been paid yet.
Ihre letzte Rechnung über {amount} ist noch nicht bezahlt.
您上一份{amount}的账单还没有支付。
From {amount} the delivery is free of charge.
Ab {amount} ist die Lieferung kostenlos.
满{amount}免运费。
Our opening hours have changed, and {future} we close at {clock}.
Unsere Öffnungszeiten haben sich geändert, {future} schließen wir um {clock}.
我们的营业时间变了，{future}{clock}关门。
Please pack {x} well and stick the label on the box.
Bitte verpacken Sie {x:acc} gut und kleben Sie das Etikett auf den Karton.
请把{x}包装好，并把标签贴在箱子上。 | gadget
Please hold down the button of {x} for ten seconds.
Bitte halten Sie die Taste {x:gen} zehn Sekunden lang gedrückt.
请按住{x}的按键十秒钟。 | smart
Please take a photo of the serial number of {x}.
Bitte fotografieren Sie die Seriennummer {x:gen}.
请拍下{x}的序列号。 | power
The colleague who is responsible is on holiday until {date}.
Die zuständige Kollegin ist bis zum {date} im Urlaub.
负责的同事休假到{date}。
Your parcel was handed to your neighbour at {clock}.
Ihr Paket wurde um {clock} Ihrem Nachbarn übergeben.
您的包裹{clock}已经交给您的邻居。
"""

BY_THE_COMPANY = facts(OF_THE_COMPANY)
