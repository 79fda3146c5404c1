"""What is done: by customers, and by the company for them.

A row is English | German | Chinese | what `{x}` may be, and what bars frames. Placeholders:

    {x}                 the object; German with its case: {x:acc}; {y} a second one
    {my:KEY}            what the customer has (`millis.data.parallel.lexicon.OWN`), German with its case
    {me} {mir} {mich}   the customer, who says *I* or is called *you*: English and Chinese have {me}
    {sich}              the customer, where the customer acts
    {amount} {model}    values, and names that are copied

`{x}` is of a kind, known to both (`item`: the, this, my) or `new` (a, two). Marks: `!perfect` has no perfect, `!not` is
not denied, `!cost` is not asked the price of, `!where` not
the place, `!web` is not done on a website, `!by` not until a day, `!my` is not of what the customer has, `!try`
is not tried.
"""

from typing import NamedTuple

from millis.data.parallel.german import Predicate
from millis.data.parallel.lexicon import Triple, rows

CUSTOMER = """
return {x} | {x:acc} @ zurück|geben | 退回‖{x} | item
exchange {x} | {x:acc} @ um|tauschen | 调换‖{x} | item !web
send back {x} | {x:acc} @ zurück|schicken | 寄回‖{x} | gadget !web
keep {x} | {x:acc} @ behalten | 留下‖{x} | item !where !cost !web !by !perfect !not !try
order {x} | @ {x:acc} bestellen | 订购‖{x} | new item !not
set up {x} | {x:acc} @ ein|richten | 设置‖{x} | smart !cost !where !web
switch on {x} | {x:acc} @ ein|schalten | 打开‖{x} | power !cost !where !web
connect {x} to {my:router} | {x:acc} @ mit {my:router:dat} verbinden | 把{x}连接到‖{my:router} | smart !cost !where !web
connect {x} to {my:phone} | {x:acc} @ mit {my:phone:dat} verbinden | 把{x}连接到‖{my:phone} | smart !cost !where !web
charge {x} | {x:acc} @ auf|laden | 给{x}充‖电 | battery !cost !web
clean {x} | {x:acc} @ reinigen | 清洁‖{x} | power !where !web
test {x} | {x:acc} @ testen | 试用‖{x} | power !web
insure {x} | {x:acc} @ versichern | 给{x}买‖保险 | power
register {x} | {x:acc} @ registrieren | 注册‖{x} | smart
update the software of {x} | die Software {x:gen} @ aktualisieren | 更新‖{x}的软件 | smart !cost
upload a photo of {x} | @ ein Foto von {x:dat} hoch|laden | 上传‖{x}的照片 | item !not !cost
have {x} repaired | {x:acc} @ reparieren lassen | 找人修理‖{x} | power !perfect !web
pick up {x} at the shop | {x:acc} @ in der Filiale ab|holen | 在门店取‖{x} | item !where !cost !web
pay for {x} in instalments | {x:acc} @ in Raten bezahlen | 分期支付‖{x}的货款 | item !where !cost
download {x} | {x:acc} @ herunter|laden | 下载‖{x} | file !cost
print {x} | {x:acc} @ aus|drucken | 打印‖{x} | file !web
redeem {x} | {x:acc} @ ein|lösen | 使用‖{x} | card !cost
cancel {my:order} | {my:order:acc} @ stornieren | 取消‖{my:order} |
change {my:order} | {my:order:acc} @ ändern | 修改‖{my:order} |
cancel {my:subscription} | {my:subscription:acc} @ kündigen | 取消‖{my:subscription} |
pause {my:subscription} | {my:subscription:acc} @ pausieren | 暂停‖{my:subscription} |
cancel {my:contract} | {my:contract:acc} @ kündigen | 解除‖{my:contract} |
extend {my:contract} | {my:contract:acc} @ verlängern | 续签‖{my:contract} |
sign {my:contract} | {my:contract:acc} @ unterschreiben | 签署‖{my:contract} | !cost
change {my:address} | {my:address:acc} @ ändern | 更改‖{my:address} |
change {my:email} | {my:email:acc} @ ändern | 更改‖{my:email} | !cost
change {my:password} | {my:password:acc} @ ändern | 更改‖{my:password} | !cost
reset {my:password} | {my:password:acc} @ zurück|setzen | 重置‖{my:password} | !cost
keep {my:number} | {my:number:acc} @ behalten | 保留‖{my:number} | !where !by !perfect
update {my:bank} | {my:bank:acc} @ aktualisieren | 更新‖{my:bank} | !cost
log in to {my:account} | {sich} @ in {my:account:dat} an|melden | 登录‖{my:account} | !cost
close {my:account} | {my:account:acc} @ schließen | 注销‖{my:account} |
postpone {my:appointment} | {my:appointment:acc} @ verschieben | 推迟‖{my:appointment} |
cancel {my:appointment} | {my:appointment:acc} @ ab|sagen | 取消‖{my:appointment} |
book an appointment | @ einen Termin vereinbaren | 预约‖上门时间 | !not
pay {my:bill} | {my:bill:acc} @ bezahlen | 支付‖{my:bill} | !cost
pay {my:bill} by credit card | {my:bill:acc} @ mit Kreditkarte bezahlen | 用信用卡支付‖{my:bill} | !cost
track {my:parcel} | {my:parcel:acc} @ verfolgen | 查询‖{my:parcel} | !cost
pick up {my:parcel} | {my:parcel:acc} @ ab|holen | 取‖{my:parcel} | !cost !web
activate {my:sim} | {my:sim:acc} @ aktivieren | 激活‖{my:sim} | !cost
switch to a cheaper plan | @ in einen günstigeren Tarif wechseln | 换成‖更便宜的套餐 | !not
switch to a larger plan | @ in einen größeren Tarif wechseln | 换成‖更大的套餐 | !not
compare the plans | die Tarife @ vergleichen | 比较‖这些套餐 | !cost
report a fault | @ eine Störung melden | 报告‖一个故障 | !not !cost
make a complaint | {sich} @ beschweren | 投诉‖ | !not !cost
speak to a member of staff | @ mit einem Mitarbeiter sprechen | 和一位客服人员通‖话 | !not !web
transfer the money | das Geld @ überweisen | 转‖账 |
change the payment method | die Zahlungsart @ ändern | 更改‖付款方式 | !cost
unsubscribe from the newsletter | den Newsletter @ ab|bestellen | 退订‖电子报 | !cost
"""

COMPANY = """
send {me} {x} | {mir} {x:acc} @ schicken | 给{me}寄‖{x} | paper
send {me} {x} | {mir} @ {x:acc} schicken | 给{me}寄‖{x} | new gadget
send {me} {x} by email | {mir} {x:acc} @ per E-Mail schicken | 用邮件给{me}发‖{x} | file
explain {x} to {me} | {mir} {x:acc} @ erklären | 给{me}解释‖{x} | sums
correct {x} | {x:acc} @ korrigieren | 更正‖{x} | sums
repair {x} | {x:acc} @ reparieren | 修理‖{x} | power
replace {x} | {x:acc} @ ersetzen | 更换‖{x} | item
check {x} | {x:acc} @ überprüfen | 检查‖{x} | power
deliver {x} | {x:acc} @ liefern | 配送‖{x} | item
deliver {x} | @ {x:acc} liefern | 配送‖{x} | new item !not
collect {x} | {x:acc} @ ab|holen | 上门取走‖{x} | item
install {x} | {x:acc} @ installieren | 安装‖{x} | large
dispose of {x} | {x:acc} @ entsorgen | 回收‖{x} | item
reserve {x} for {me} | {x:acc} @ für {mich} reservieren | 为{me}预留‖{x} | item !my
order {x} for {me} | @ {x:acc} für {mich} bestellen | 为{me}订购‖{x} | new item !not
gift-wrap {x} | {x:acc} @ als Geschenk verpacken | 把{x}包装‖成礼物 | item
activate {x} | {x:acc} @ frei|schalten | 激活‖{x} | card
unlock {my:account} | {my:account:acc} @ entsperren | 解锁‖{my:account} |
cancel {my:order} | {my:order:acc} @ stornieren | 取消‖{my:order} |
confirm {my:order} | {my:order:acc} @ bestätigen | 确认‖{my:order} |
confirm {my:appointment} | {my:appointment:acc} @ bestätigen | 确认‖{my:appointment} |
call {me} back | {mich} @ zurück|rufen | 给{me}回‖电话 |
refund {amount} to {me} | {mir} @ {amount} erstatten | 退给‖{me}{amount} | !not
refund the purchase price | den Kaufpreis @ erstatten | 退还‖货款 |
leave {my:parcel} with the neighbour | {my:parcel:acc} @ beim Nachbarn ab|geben | 把{my:parcel}放在‖邻居家 |
redirect {my:parcel} | {my:parcel:acc} @ um|leiten | 把{my:parcel}转寄到‖别的地址 |
search for {my:parcel} | {my:parcel:acc} @ suchen | 查找‖{my:parcel} |
send {me} a technician | {mir} @ einen Techniker schicken | 给{me}派‖一位技术员 | !not
change the delivery date | den Liefertermin @ ändern | 更改‖送货日期 |
give {me} a discount | {mir} @ einen Rabatt geben | 给{me}打‖折 | !not
give {me} a discount of {amount} | {mir} @ einen Rabatt von {amount} geben | 给{me}优惠‖{amount} | !not
forward {my:complaint} to the boss | {my:complaint:acc} @ an den Chef weiter|leiten | 把{my:complaint}转给‖主管 |
answer {my:question} | {my:question:acc} @ beantworten | 回答‖{my:question} |
process {my:return} | {my:return:acc} @ bearbeiten | 处理‖{my:return} |
process {my:refund} | {my:refund:acc} @ bearbeiten | 处理‖{my:refund} |
extend {my:warranty} | {my:warranty:acc} @ verlängern | 延长‖{my:warranty} |
block {my:sim} | {my:sim:acc} @ sperren | 停用‖{my:sim} |
activate {my:connection} | {my:connection:acc} @ frei|schalten | 开通‖{my:connection} |
check {my:connection} | {my:connection:acc} @ überprüfen | 检查‖{my:connection} |
check {my:bill} | {my:bill:acc} @ überprüfen | 核对‖{my:bill} |
increase {my:allowance} | {my:allowance:acc} @ erhöhen | 增加‖{my:allowance} |
inform {me} by text message | {mich} @ per SMS informieren | 用短信通知‖{me} |
transfer the money to {my:giro} | das Geld @ auf {my:giro:acc} überweisen | 把钱转到‖{my:giro} |
delete {my:data} | {my:data:acc} @ löschen | 删除‖{my:data} |
put {me} through to the workshop | {mich} @ mit der Werkstatt verbinden | 把{me}的电话转到‖维修部 |
lend {me} a replacement device | {mir} @ ein Ersatzgerät leihen | 借给‖{me}一台备用机 | !not
lower the price | den Preis @ senken | 降低‖价格 |
match the price | den Preis @ an|passen | 调整‖价格 |
"""


class Action(NamedTuple):
    """Something that is done.

    Args:
        key: Its name, in English.
        kind: What `{x}` is; empty where there is none.
        new: Whether `{x}` is not known yet.
        marks: That bar it from frames.
    """

    key: str
    said: Triple
    german: Predicate
    kind: str
    new: bool
    marks: frozenset[str]


def _actions(table: str) -> list[Action]:
    found = []
    for row in rows(table):
        english, german, chinese, rest = (part.strip() for part in f"{row} ".split(" | "))
        words = rest.split()
        marks = frozenset(word for word in words if word.startswith("!"))
        kind = next((word for word in words if word != "new" and word not in marks), "")
        key = f"{english} ({rest.partition(' !')[0]})"
        said = Triple(english, german, chinese)
        found.append(Action(key, said, Predicate.of(german), kind, "new" in words, marks))
    return found


OF_CUSTOMERS = _actions(CUSTOMER)
OF_THE_COMPANY = _actions(COMPANY)
