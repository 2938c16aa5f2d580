"""Passages of several kinds, written for these tests, with the answers to what somebody asks about them."""


def _passage(text: str, *answers: str) -> tuple[str, tuple[str, ...]]:
    return " ".join(text.split()), answers


PASSAGES = (
    _passage(
        """
        The meeting began a little late because the projector would not start. After some discussion the
        group agreed that Marta Okafor will present the new remote control to the marketing team on
        Thursday, and that the rubber buttons should be replaced by a flat touch panel. Everybody felt
        that the budget was tight; the production cost may not exceed twelve euros and fifty cents per
        unit. The industrial designer will look into solar cells before the next session.
        """,
        "Marta Okafor",
        "Thursday",
        "a flat touch panel",
        "twelve euros and fifty cents",
        "solar cells",
    ),
    _passage(
        """
        This agreement is made between Halvorsen Marine Ltd, hereinafter called the supplier, and the
        Port of Kettleby. The supplier shall deliver four mooring winches no later than 30 June 2027.
        Should delivery be delayed for reasons within the control of the supplier, the port may deduct
        two per cent of the price for each week of delay. Either party may end this agreement by giving
        ninety days of written notice to the other. The law of Norway governs this agreement.
        """,
        "Halvorsen Marine Ltd",
        "four mooring winches",
        "30 June 2027",
        "two per cent",
        "ninety days",
        "Norway",
    ),
    _passage(
        """
        Hi all, just a quick update on the outage that we had last night. At about ten past two the main
        database ran out of disk space, and because of that the checkout page showed an error to
        everyone who tried to pay. It turned out that an old backup job had been writing a full copy
        every hour. Priya deleted the copies and restarted the service, and by three everything was back
        to normal. We are going to add an alert for free space, so that this will not happen again.
        """,
        "ran out of disk space",
        "the checkout page",
        "an old backup job",
        "Priya",
        "an alert for free space",
    ),
    _passage(
        """
        The grey-crowned tanager is a small songbird that lives in the cloud forests of the eastern
        slopes of the Andes, mostly between 1,400 and 2,300 metres. It feeds on berries and small
        insects, which it takes from moss on the branches of tall trees. The nest is a deep cup of
        rootlets, and both parents feed the young. The species was first described in 1851 by the
        naturalist Edvard Lindqvist, who had been sent a skin by a collector in Quito.
        """,
        "the Andes",
        "berries and small insects",
        "1851",
        "Edvard Lindqvist",
        "Quito",
    ),
    _passage(
        """
        When the old miller died he left nothing to his youngest daughter but a lame donkey and a silver
        thimble. She did not complain, for she had always been fond of the animal, and she set out the
        same evening towards the town of Veldermark. On the bridge she met a man in a green coat, who
        asked her for something to eat. She gave him half of her bread, and in return he told her that
        the king had lost his voice and would give a castle to whoever brought it back.
        """,
        "a lame donkey and a silver thimble",
        "Veldermark",
        "a man in a green coat",
        "half of her bread",
        "his voice",
    ),
    _passage(
        """
        We compared two ways of storing the vaccine in a trial with 412 volunteers. Those in the first
        group received doses that had been kept frozen, while the others received doses that had been
        kept in a refrigerator for six weeks. There was no difference between the groups in the level of
        antibodies after one month. Headache was the most common side effect and was reported by 18 per
        cent of the volunteers. The study was paid for by the Brandt Foundation.
        """,
        "412",
        "six weeks",
        "antibodies",
        "Headache",
        "18 per cent",
        "the Brandt Foundation",
    ),
    _passage(
        """
        I bought this kettle in March and have used it every day since then. It boils a litre of water
        in less than three minutes, and it is so quiet that it does not wake the baby. What I do not
        like is the lid, which is stiff and hard to open with one hand. The handle stays cool. After
        four months some scale built up at the bottom, but a bit of vinegar took care of that. For the
        price, which was thirty-five dollars, I would buy it again.
        """,
        "less than three minutes",
        "the lid",
        "vinegar",
        "thirty-five dollars",
    ),
    _passage(
        """
        Good afternoon and thank you for joining us. Revenue for the third quarter was 84 million
        dollars, which is an increase of nine per cent over the same period of last year. Growth came
        mostly from our customers in South America, and in particular from the new plant in Curitiba. We
        have decided to close the office in Lyon by the end of December. Our chief financial officer,
        Daniel Achterberg, will leave the company in the spring for personal reasons.
        """,
        "84 million dollars",
        "nine per cent",
        "South America",
        "Curitiba",
        "Lyon",
        "Daniel Achterberg",
    ),
)
