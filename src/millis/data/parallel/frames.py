"""Sentences around what is done or said: which form of the verb they ask for, and where German puts it.

A frame is three lines, English, German and Chinese, and behind a bar the marks that bar actions
(`millis.data.parallel.actions`). English has `{do}`, `{done}`
(the participle) and `{doing}`; Chinese `{do}` and `{did}`, with 了. German has, each with the adverb that stands at the
predicate's `@`:

    {inf ADVERB} {zu ADVERB} {part ADVERB}    zurückgeben, zurückzugeben, zurückgegeben, each with the middle before it
    {sub:PERSON ADVERB}                       the finite verb at the end: die Lampe zurückgebe
    {fin:PERSON} ... {rest ADVERB}            the finite verb, and what follows its subject: gebe ... die Lampe zurück
    {aux:PERSON}                              habe, bin

What is said of `{x}` has `{is}` in English and Chinese, and in German `{fin:x}`, `{end}` and `{sub:x}`. Pronouns are
`{it}`, `{er:CASE}` and the relative `{which:CASE}`; `{are}`, `{were}`, `{ist}` and `{wurde}` have its number. Times are
`{future}`, `{past}`, `{since}` and `{by}`.
"""

from typing import NamedTuple

from millis.data.parallel.lexicon import Triple, triples

# Customers of what they do themselves.
I_DO = """
I would like to {do}.
Ich möchte {inf}.
我想{do}。
I would like to {do} {future}.
Ich möchte {inf @future}.
我想{future}{do}。
I want to {do} as soon as possible.
Ich will {inf so bald wie möglich}.
我想尽快{do}。
Can I {do}?
Kann ich {inf}?
我可以{do}吗？
Can I still {do} {future}?
Kann ich {inf @future noch}?
我{future}还可以{do}吗？
How can I {do}?
Wie kann ich {inf}?
我怎样才能{do}？
How do I {do} on the website?
Wie kann ich {inf auf der Website}?
我怎么在网站上{do}？ | where web
Where can I {do}?
Wo kann ich {inf}?
我在哪里可以{do}？ | where
I have already {done}.
Ich {aux:ich} {part bereits}.
我已经{did}。 | perfect
I tried to {do}, but it did not work.
Ich habe versucht, {zu}, aber es hat nicht geklappt.
我试着{do}，但是没有成功。 | try
Is it possible to {do} {future}?
Ist es möglich, {zu @future}?
{future}可以{do}吗？
I do not know how to {do}.
Ich weiß nicht, wie ich {inf} kann.
我不知道怎么{do}。
I was told that I could {do}.
Mir wurde gesagt, dass ich {inf} kann.
有人告诉我可以{do}。
Do I have to {do} {by}?
Muss ich {inf @by}?
我必须在{by}{do}吗？ | by
I have decided to {do}.
Ich habe mich entschieden, {zu}.
我决定{do}。
Could you tell me how to {do}?
Könnten Sie mir sagen, wie ich {inf} kann?
您能告诉我怎么{do}吗？
I will {do} {future}.
Ich werde {inf @future}.
我{future}会{do}。
If I {do} {future}, will I get a confirmation?
Wenn ich {sub:ich @future}, bekomme ich dann eine Bestätigung?
如果我{future}{do}，会收到确认吗？ | web
Before I {do}, I have another question.
Bevor ich {sub:ich}, habe ich noch eine Frage.
在{do}之前，我还有一个问题。
Why can I not {do}?
Warum kann ich {inf nicht}?
为什么我不能{do}？ | not
Unfortunately I cannot {do} at the moment.
Leider kann ich {inf im Moment nicht}.
很遗憾，我现在无法{do}。 | not
I have not been able to {do} {since}.
Ich kann {inf @since nicht}.
我{since}就无法{do}。 | not
What does it cost to {do}?
Was kostet es, {zu}?
{do}要多少钱？ | cost web
Is there a fee if I {do}?
Fällt eine Gebühr an, wenn ich {sub:ich}?
如果我{do}，要收费吗？ | cost web
I forgot to {do} {past}.
Ich habe {past} vergessen, {zu}.
我{past}忘了{do}。 | try
It is important to me to {do} {by}.
Es ist mir wichtig, {zu @by}.
对我来说，{by}{do}很重要。 | by
Your colleague advised me to {do}.
Ihr Kollege hat mir geraten, {zu}.
您的同事建议我{do}。
I have been trying to {do} {since}.
Ich versuche {since}, {zu}.
我{since}一直想{do}。 | try
Unfortunately I did not manage to {do} {past}.
Leider habe ich es {past} nicht geschafft, {zu}.
很遗憾，我{past}没能{do}。 | try
I called {past} because I want to {do}.
Ich habe {past} angerufen, weil ich {inf} möchte.
我{past}打过电话，因为我想{do}。
"""

# The company of what customers do.
YOU_DO = """
You can {do} at any time.
Sie können {inf jederzeit}.
您可以随时{do}。
You can {do} on our website.
Sie können {inf auf unserer Website}.
您可以在我们的网站上{do}。 | where web
Please {do} {by}.
Bitte {fin:Sie} Sie {rest @by}.
请您在{by}{do}。 | by
If you would like to {do}, please give us a call.
Wenn Sie {inf} möchten, rufen Sie uns bitte an.
如果您想{do}，请给我们打电话。
Have you already tried to {do}?
Haben Sie schon versucht, {zu}?
您试过{do}吗？ | try
You do not have to {do}.
Sie müssen {inf nicht}.
您不需要{do}。 | not
To {do}, you need your customer number.
Um {zu}, benötigen Sie Ihre Kundennummer.
要{do}，您需要提供客户号。
May I ask why you want to {do}?
Darf ich fragen, warum Sie {inf} möchten?
请问您为什么想{do}？
Unfortunately you can no longer {do}.
Leider können Sie {inf nicht mehr}.
很遗憾，您不能再{do}了。 | not
We recommend that you {do} {future}.
Wir empfehlen Ihnen, {zu @future}.
我们建议您{future}{do}。
As soon as you have {done}, we will send you a confirmation.
Sobald Sie {part} {aux:Sie}, schicken wir Ihnen eine Bestätigung.
您{did}之后，我们会给您发送确认信息。 | perfect web
"""

# Customers of what the company does for them.
PLEASE_DO = """
Can you {do}?
Können Sie {inf}?
您能{do}吗？
Please {do}.
Bitte {fin:Sie} Sie {rest}.
请{do}。
Please {do} {by}.
Bitte {fin:Sie} Sie {rest @by}.
请在{by}{do}。 | by
Could you please {do} {future}?
Könnten Sie bitte {inf @future}?
能不能请您{future}{do}？
When will you {do}?
Wann werden Sie {inf}?
你们什么时候{do}？
Why have you not {done} yet?
Warum {aux:Sie} Sie {part noch nicht}?
你们为什么还没有{do}？ | perfect not
I would like you to {do}.
Ich möchte, dass Sie {sub:Sie}.
我希望你们{do}。
You promised to {do} {by}.
Sie haben versprochen, {zu @by}.
你们答应过在{by}{do}。 | by
I am still waiting for you to {do}.
Ich warte immer noch darauf, dass Sie {sub:Sie}.
我还在等你们{do}。
It would be nice if you could {do} {future}.
Es wäre schön, wenn Sie {inf @future} könnten.
如果你们能{future}{do}就好了。
I assume that you will {do} {future}.
Ich gehe davon aus, dass Sie {sub:Sie @future}.
我想你们会{future}{do}。
How long will it take until you {do}?
Wie lange dauert es, bis Sie {sub:Sie}?
你们要多久才能{do}？
If you do not {do} {by}, I will cancel my contract.
Wenn Sie {sub:Sie @by nicht}, kündige ich meinen Vertrag.
如果你们在{by}不{do}，我就解除合同。 | not by
Have you already {done}?
{aux:Sie} Sie {part schon}?
你们已经{did}吗？ | perfect
I asked you {past} to {do}.
Ich habe Sie {past} gebeten, {zu}.
我{past}请你们{do}。
Thank you for {doing} so quickly.
Vielen Dank, dass Sie {part so schnell} {aux:Sie}.
谢谢你们这么快就{did}。 | perfect
Your colleague wanted to {do} {past}.
Ihr Kollege wollte {inf @past}.
您的同事{past}说要{do}。
Is there a way for you to {do} {by}?
Gibt es eine Möglichkeit, dass Sie {sub:Sie @by}?
你们有没有办法在{by}{do}？ | by
I do not understand why you cannot {do}.
Ich verstehe nicht, warum Sie {inf nicht} können.
我不明白你们为什么不能{do}。 | not
I expect you to {do} {by}.
Ich erwarte, dass Sie {sub:Sie @by}.
我要求你们在{by}{do}。 | by
Please let me know when you will {do}.
Bitte sagen Sie mir Bescheid, wann Sie {sub:Sie}.
请告诉我你们什么时候{do}。
"""

# The company of what it does.
WE_DO = """
We will {do} {future}.
Wir werden {inf @future}.
我们{future}会{do}。
We have already {done}.
Wir {aux:wir} {part bereits}.
我们已经{did}。 | perfect
Unfortunately we cannot {do} {future}.
Leider können wir {inf @future nicht}.
很抱歉，我们{future}无法{do}。 | not
Would you like us to {do}?
Möchten Sie, dass wir {sub:wir}?
您希望我们{do}吗？
As soon as your payment arrives, we will {do}.
Sobald Ihre Zahlung eingeht, {fin:wir} wir {rest}.
一收到您的付款，我们就{do}。
We are sorry that we have not {done} yet.
Es tut uns leid, dass wir {part noch nicht} {aux:wir}.
很抱歉，我们还没有{do}。 | perfect not
Before we {do}, we need your order number.
Bevor wir {sub:wir}, benötigen wir Ihre Bestellnummer.
在{do}之前，我们需要您的订单号。
Of course we will {do}.
Selbstverständlich {fin:wir} wir {rest}.
我们当然会{do}。
May we {do} {future}?
Dürfen wir {inf @future}?
我们可以{future}{do}吗？
Within three days we will {do}.
Innerhalb von drei Tagen {fin:wir} wir {rest}.
我们会在三天之内{do}。
We can only {do} if we have your address.
Wir können {inf nur}, wenn wir Ihre Adresse haben.
只有知道您的地址，我们才能{do}。
I will ask my colleague to {do} {future}.
Ich bitte meine Kollegin, {zu @future}.
我会请同事{future}{do}。
We will try to {do} {by}.
Wir versuchen, {zu @by}.
我们会尽量在{by}{do}。 | by
Thank you for your patience. We will {do} {future}.
Vielen Dank für Ihre Geduld. Wir {fin:wir} {rest @future}.
感谢您的耐心等待，我们{future}会{do}。
"""

# What is said of {x}; {it} is its pronoun, and {is} what is said.
OF_THINGS = """
{X} {is}.
{x:nom} {fin:x} {end}.
{x}{is}。
Unfortunately {x} {is}.
Leider {fin:x} {x:nom} {end}.
很遗憾，{x}{is}。 | bad
I am writing to you because {x} {is}.
Ich schreibe Ihnen, weil {x:nom} {sub:x}.
我写信给你们，是因为{x}{is}。 | bad
What can I do if {x} {is}?
Was kann ich tun, wenn {x:nom} {sub:x}?
如果{x}{is}，我该怎么办？ | bad why
I have noticed that {x} {is}.
Mir ist aufgefallen, dass {x:nom} {sub:x}.
我发现{x}{is}。
Is it normal that {x} {is}?
Ist es normal, dass {x:nom} {sub:x}?
{x}{is}，这正常吗？ | bad why
Why {is x}?
Warum {fin:x} {x:nom} {end}?
为什么{x}{is}？ | bad why
I am disappointed because {x} {is}.
Ich bin enttäuscht, weil {x:nom} {sub:x}.
我很失望，因为{x}{is}。 | bad
I had expected more. {X} {is}.
Ich hatte mehr erwartet. {x:nom} {fin:x} {end}.
我本来期望更高。{x}{is}。 | bad
I am glad that {x} {is}.
Ich freue mich, dass {x:nom} {sub:x}.
我很高兴{x}{is}。 | good
My husband thinks that {x} {is}.
Mein Mann findet, dass {x:nom} {sub:x}.
我丈夫觉得{x}{is}。
My neighbour also says that {x} {is}.
Auch meine Nachbarin sagt, dass {x:nom} {sub:x}.
我的邻居也说{x}{is}。
Nobody told me that {x} {is}.
Niemand hat mir gesagt, dass {x:nom} {sub:x}.
没有人告诉我，{x}{is}。 | bad
Although {x} {are} new, {it} {is}.
Obwohl {x:nom} neu {ist}, {fin:x} {er:nom} {end}.
{x}虽然是新的，但是{is}。 | bad old
"""

# Things that were got before: {which} is the relative pronoun, and {x} known.
OF_THINGS_GOT = """
{X} that I bought {past} {is}.
{x:nom}, {which:acc} ich {past} gekauft habe, {fin:x} {end}.
我{past}买的{x}{is}。
{X} that I ordered {past} {is}.
{x:nom}, {which:acc} ich {past} bestellt habe, {fin:x} {end}.
我{past}订购的{x}{is}。
{X} that you sent me {past} {is}.
{x:nom}, {which:acc} Sie mir {past} geschickt haben, {fin:x} {end}.
你们{past}寄给我的{x}{is}。
{X} that {were} delivered {past} {is}.
{x:nom}, {which:nom} {past} geliefert {wurde}, {fin:x} {end}.
{past}送来的{x}{is}。
{X} that I unpacked {past} {is}.
{x:nom}, {which:acc} ich {past} ausgepackt habe, {fin:x} {end}.
我{past}拆开的{x}{is}。
Unfortunately {x} that I got {past} {is}.
Leider {fin:x} {x:nom}, {which:acc} ich {past} bekommen habe, {end}.
很遗憾，我{past}收到的{x}{is}。 | bad
"""

# An action, and a complaint as its reason.
WITH_REASON = """
I would like to {do} because {it} {is}.
Ich möchte {inf}, weil {er:nom} {sub:x}.
我想{do}，因为{它}{is}。 | I
I have decided to {do} because {it} {is}.
Ich habe mich entschieden, {zu}, weil {er:nom} {sub:x}.
我决定{do}，因为{它}{is}。 | I
Can I {do}? Unfortunately {it} {is}.
Kann ich {inf}? Leider {fin:x} {er:nom} {end}.
我可以{do}吗？很遗憾，{它}{is}。 | I
Please {do} because {it} {is}.
Bitte {fin:Sie} Sie {rest}, weil {er:nom} {sub:x}.
请{do}，因为{它}{is}。 | you
Can you {do}? {It} {is}.
Können Sie {inf}? {er:nom} {fin:x} {end}.
您能{do}吗？{它}{is}。 | you
I would like you to {do} because {it} {is}.
Ich möchte, dass Sie {sub:Sie}, weil {er:nom} {sub:x}.
我希望你们{do}，因为{它}{is}。 | you
"""


class Frame(NamedTuple):
    """A sentence with a gap.

    Args:
        marks: That bar what may fill it.
    """

    said: Triple
    marks: frozenset[str]


def _frames(table: str) -> list[Frame]:
    return [Frame(said, marks) for said, marks in triples(table)]


BY_CUSTOMERS = _frames(I_DO)
TO_CUSTOMERS = _frames(YOU_DO)
OF_CUSTOMERS_WISHES = _frames(PLEASE_DO)
BY_THE_COMPANY = _frames(WE_DO)
SAID_OF_THINGS = _frames(OF_THINGS)
SAID_OF_THINGS_GOT = _frames(OF_THINGS_GOT)
REASONS = _frames(WITH_REASON)
