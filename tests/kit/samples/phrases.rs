//! Words of the generated samples, all written for this project. Places and organisations are invented.

/// Beginnings of names of places.
pub(super) const PLACE_STARTS: [&str; 28] = [
    "Ash", "Barrow", "Brook", "Cold", "Dun", "East", "Fern", "Glen", "Haver", "Iron", "Kirk", "Lang", "Marsh",
    "Nether", "North", "Oak", "Pen", "Quarry", "Raven", "Salt", "Stan", "Thorn", "Upper", "Wal", "West", "Whit",
    "Wood", "Yew",
];
/// Ends of names of places.
pub(super) const PLACE_ENDS: [&str; 18] = [
    "borough", "bridge", "bury", "dale", "field", "ford", "gate", "ham", "leigh", "mere", "mouth", "port", "stead",
    "stow", "ton", "wick", "wood", "worth",
];
/// Ends of names of roads.
pub(super) const ROADS: [&str; 16] = [
    "High Street",
    "Church Street",
    "Station Road",
    "Market Place",
    "Mill Lane",
    "London Road",
    "Victoria Road",
    "Park Road",
    "Queen Street",
    "Main Street",
    "School Lane",
    "Bridge Street",
    "Castle Street",
    "King Street",
    "New Road",
    "Albert Road",
];
/// What a place to go to is called.
pub(super) const BUILDINGS: [&str; 24] = [
    "Library",
    "Community Centre",
    "Community Hall",
    "Village Hall",
    "Town Hall",
    "Central Library",
    "Health Centre",
    "Medical Centre",
    "Children's Centre",
    "Family Hub",
    "Leisure Centre",
    "Sports Centre",
    "Methodist Church",
    "Parish Church",
    "Baptist Church",
    "Mosque",
    "Primary School",
    "Youth Centre",
    "Resource Centre",
    "Advice Centre",
    "Job Centre",
    "Day Centre",
    "Arts Centre",
    "Community Library",
];
/// What an organisation is called.
pub(super) const ORGANISATIONS: [&str; 24] = [
    "City Council",
    "Borough Council",
    "County Council",
    "District Council",
    "Citizens Advice",
    "Food Bank",
    "Women's Aid",
    "Refugee Support",
    "Law Centre",
    "Housing Association",
    "Community Trust",
    "Volunteer Centre",
    "Library Service",
    "Mind and Wellbeing",
    "Carers Centre",
    "Youth Project",
    "Family Support",
    "Community Transport",
    "Credit Union",
    "Debt Advice",
    "Night Shelter",
    "Hospice Care",
    "Legal Aid Society",
    "County Health Department",
];
/// Name, topic and what it does, of services.
pub(super) const SERVICES: [(&str, &str, &str); 40] = [
    (
        "Food bank",
        "food",
        "Provides emergency food parcels for three days to people in crisis. Bring a voucher from a referral agency.",
    ),
    (
        "Community meal",
        "food",
        "A free hot meal for everyone, no questions asked. Vegetarian and halal options are available.",
    ),
    (
        "Immigration advice",
        "immigration",
        "Free and confidential advice on asylum claims, family reunion, visas and settled status by accredited advisers.",
    ),
    (
        "Housing advice",
        "housing",
        "Advice for people who are homeless or at risk of losing their home, including tenancy rights, rent arrears and eviction.",
    ),
    (
        "Night shelter",
        "housing",
        "Emergency overnight accommodation for people who are sleeping rough. Referrals are made through the street outreach team.",
    ),
    (
        "Debt advice",
        "money",
        "Help with debts, bills and benefits. An adviser looks at your income and spending and contacts your creditors.",
    ),
    ("Benefits check", "money", "Find out which benefits you can claim and get help to fill in the application form."),
    (
        "English classes",
        "education",
        "Free English for speakers of other languages (ESOL) classes for beginners and improvers. Books are provided.",
    ),
    (
        "Conversation café",
        "education",
        "Practise speaking English with volunteers over a cup of tea. Drop in; you do not need to book.",
    ),
    (
        "Job club",
        "employment",
        "Support with CVs, job applications, interview skills and searching for work online. Computers and printing are free.",
    ),
    (
        "Employment support",
        "employment",
        "One-to-one help to find training, apprenticeships and work for adults who are unemployed.",
    ),
    (
        "Public computers and Wi-Fi",
        "digital",
        "Free use of computers and Wi-Fi. Staff can help you get online, set up an email address and print documents.",
    ),
    (
        "Digital skills",
        "digital",
        "Learn how to use a computer, tablet or smartphone at your own pace, with support from digital champions.",
    ),
    (
        "Library service",
        "library",
        "Borrow books, e-books and audiobooks, read newspapers and magazines, reserve items and join reading groups.",
    ),
    (
        "Home library service",
        "library",
        "Volunteers bring books to people who cannot come to the library because of age, illness or disability.",
    ),
    (
        "Rhyme time",
        "children",
        "Songs, rhymes and stories for babies and toddlers with their parents and carers. No booking required.",
    ),
    (
        "Story time",
        "children",
        "Stories and crafts for children aged three to five. Children must be accompanied by an adult.",
    ),
    (
        "Parent and toddler group",
        "children",
        "A friendly group for parents, carers and children under five, with toys, snacks and refreshments.",
    ),
    (
        "After-school club",
        "children",
        "Games, sport, arts and homework help for children and young people aged 8 to 16 during term time.",
    ),
    (
        "Youth club",
        "young-people",
        "A safe place for young people to meet, play games, make music and talk to youth workers.",
    ),
    (
        "Counselling service",
        "mental-health",
        "Confidential counselling for adults with anxiety, depression, bereavement or trauma. There may be a waiting list.",
    ),
    (
        "Peer support group",
        "mental-health",
        "Meet others who have been through similar experiences in a relaxed and supportive setting.",
    ),
    (
        "Crisis line",
        "mental-health",
        "Telephone support 24 hours a day, 7 days a week for anyone in emotional distress. Calls are free.",
    ),
    (
        "Sexual health clinic",
        "health",
        "Testing and treatment for sexually transmitted infections, contraception and advice. Walk in or make an appointment.",
    ),
    (
        "Primary care clinic",
        "health",
        "Medical care for families and individuals: check-ups, immunizations, laboratory tests and prescriptions on a sliding fee scale.",
    ),
    ("Dental clinic", "health", "Emergency and routine dental treatment for children and adults who have no dentist."),
    (
        "Substance abuse treatment",
        "health",
        "Outpatient treatment, detoxification and residential programs for persons with alcohol and drug problems.",
    ),
    (
        "Domestic abuse support",
        "safety",
        "Support, safety planning and refuge for women and children who experience domestic violence and abuse.",
    ),
    (
        "Legal advice clinic",
        "law",
        "Free legal advice from solicitors and law students on family, employment, housing and consumer problems.",
    ),
    (
        "Case management",
        "family",
        "Assesses the needs of clients and their families, links them to community resources and follows up.",
    ),
    (
        "Carers support",
        "family",
        "Information, breaks and support groups for people who look after a relative or friend.",
    ),
    ("Befriending", "older-people", "Volunteers visit or telephone older people who live alone or feel isolated."),
    (
        "Lunch club",
        "older-people",
        "A two-course lunch and activities for people aged 60 and over. Transport can be arranged.",
    ),
    (
        "Community transport",
        "transport",
        "Door-to-door minibus service for people who find it difficult to use public transport.",
    ),
    (
        "Clothing bank",
        "clothing",
        "Free clothes, shoes and school uniforms for adults and children, donated by local people.",
    ),
    (
        "Furniture project",
        "housing",
        "Low-cost furniture and household items for people on a low income or moving into a new home.",
    ),
    (
        "Interpreting service",
        "languages",
        "Face-to-face and telephone interpreting and translation in more than 40 languages.",
    ),
    (
        "Wheelchair and equipment loan",
        "disability",
        "Short-term loan of wheelchairs and mobility equipment to people with a disability or injury.",
    ),
    (
        "Allotments",
        "outdoors",
        "Grow your own fruit and vegetables on a plot near you. There is a waiting list at most sites.",
    ),
    (
        "Bicycle repair",
        "transport",
        "Learn how to repair your bicycle with the help of volunteer mechanics; tools and parts are provided.",
    ),
];
/// Sentences that follow in descriptions.
pub(super) const SENTENCES: [&str; 34] = [
    "Please call or email to make an appointment.",
    "Drop in during opening hours; no appointment is necessary.",
    "Everyone is welcome.",
    "The service is free and confidential.",
    "The building is fully accessible, with a ramp, a lift and an accessible toilet.",
    "Parking is available nearby and on the street.",
    "Interpreters can be arranged on request.",
    "Please check the website for details, as times may change during school holidays and on bank holidays.",
    "We are closed on public holidays.",
    "Funded by the local authority and run by volunteers.",
    "For more information, visit our website or telephone the office.",
    "Referrals are accepted from professionals, and you can also refer yourself.",
    "Open to residents of the borough and the surrounding area.",
    "Refreshments are provided.",
    "Donations are welcome.",
    "You can join online or at the front desk with proof of your address.",
    "Children under 16 must be accompanied by a parent or guardian.",
    "Staff have had a background check and are trained in safeguarding.",
    "The office is open Monday to Friday, 9am to 5pm.",
    "The program serves low-income individuals and families in the county.",
    "Services include information and referral, assessment, advocacy and support.",
    "A member of the team will contact you within five working days.",
    "Book a place by phone, as numbers are limited.",
    "We work with partner organisations across the city to support refugees and people seeking asylum.",
    "If you need help urgently outside these hours, call the emergency number.",
    "Facilities: meeting rooms, public toilets, baby changing, photocopier, study space and hearing loop.",
    "There is step-free access from the main entrance, and assistance dogs are welcome.",
    "Our friendly staff and volunteers are here to help you.",
    "Bring proof of identity, proof of income and any letters about your situation.",
    "Managed by the community in partnership with the council.",
    "Provides a wide range of activities for people of all ages, including classes, workshops and social events.",
    "Please note that this service is provided by telephone only.",
    "Eligible are adults aged 18 and over who live in the area.",
    "We offer training, volunteering opportunities and support for people with disabilities.",
];
/// Who may come.
pub(super) const ELIGIBILITIES: [&str; 12] = [
    "Open to everyone",
    "Adults aged 18 and over",
    "Families with children under 5",
    "Local residents",
    "Refugees and people seeking asylum",
    "People on a low income",
    "Young people aged 11 to 18",
    "Women only",
    "People aged 60 and over",
    "Must live in the county",
    "No restrictions",
    "Anyone who is homeless or at risk",
];
/// What it costs.
pub(super) const FEES: [&str; 10] = [
    "Free",
    "Free",
    "No charge",
    "Free for members; others pay £2 per session",
    "Donations welcome",
    "£3.50 per session, concessions £2.00",
    "Sliding scale, based on income",
    "Medicaid, Medicare, private insurance",
    "Call for information",
    "None",
];
/// How to begin.
pub(super) const APPLICATIONS: [&str; 10] = [
    "Walk in",
    "Call or email",
    "Telephone for an appointment",
    "Walk in or call",
    "Self-referral or referral by a GP",
    "Fill in the form on the website",
    "Call for an appointment",
    "Referral by an agency",
    "Book online",
    "Just turn up",
];
/// Papers to bring.
pub(super) const DOCUMENTS: [&str; 8] = [
    "Proof of address",
    "Proof of identity",
    "Photo ID",
    "Proof of income",
    "Referral letter",
    "Any letter from the Home Office",
    "Social Security card",
    "Birth certificate",
];
/// Names of lines to call.
pub(super) const DESKS: [&str; 12] = [
    "Reception",
    "Main",
    "Enquiries",
    "Front desk",
    "Helpline",
    "Advice line",
    "Office",
    "Appointments",
    "Out of hours",
    "Text messages",
    "Fax",
    "Toll-free",
];
/// How to get there.
pub(super) const TRANSPORTS: [&str; 8] = [
    "Buses 4, 12 and 27 stop outside",
    "Five minutes' walk from the railway station",
    "Free car park behind the building",
    "Bus routes 1, 8 and 15",
    "Nearest tram stop: Market Place",
    "On-street parking; blue badge spaces in front",
    "Ten minutes on foot from the bus station",
    "No parking on site",
];
/// How to get in.
pub(super) const ACCESSES: [&str; 8] = [
    "Step-free access",
    "Wheelchair accessible",
    "Lift to all floors",
    "Accessible toilet",
    "Hearing loop",
    "Ramp at the side entrance",
    "Level access, automatic doors",
    "Ground floor only; steps to the first floor",
];
/// Events.
pub(super) const EVENTS: [&str; 16] = [
    "Welcome evening",
    "Summer fair",
    "Reading group",
    "Knit and natter",
    "Coffee morning",
    "Homework club",
    "Family fun day",
    "Open day",
    "Chess club",
    "Author visit",
    "Film night",
    "Sewing workshop",
    "Language exchange",
    "Guided walk",
    "Music jam",
    "Lego club",
];

/// Tag, names, sentences and fees of a language into which records are translated.
pub(super) struct Tongue {
    pub(super) tag: &'static str,
    pub(super) names: [&'static str; 5],
    pub(super) sentences: [&'static str; 5],
    pub(super) free: &'static str,
}

/// Languages of translations.
pub(super) const TONGUES: [Tongue; 9] = [
    Tongue {
        tag: "ar",
        names: ["بنك الطعام", "دروس اللغة الإنجليزية", "استشارات السكن", "المشورة القانونية", "مركز المجتمع"],
        sentences: [
            "نقدم المساعدة مجانًا وبسرية تامة.",
            "يرجى الاتصال بنا لتحديد موعد.",
            "الجميع مرحب بهم، ولا حاجة إلى حجز مسبق.",
            "يمكن توفير مترجم عند الطلب.",
            "أحضر معك إثبات العنوان وأي رسائل تتعلق بحالتك.",
        ],
        free: "مجاني",
    },
    Tongue {
        tag: "fa",
        names: ["بانک غذا", "کلاس‌های زبان انگلیسی", "مشاوره مسکن", "مشاوره حقوقی", "مرکز محله"],
        sentences: [
            "خدمات رایگان و محرمانه است.",
            "لطفاً برای گرفتن وقت تماس بگیرید.",
            "همه خوش آمدید و نیازی به رزرو نیست.",
            "در صورت درخواست مترجم فراهم می‌شود.",
            "مدرک نشانی و نامه‌های مربوط به وضعیت خود را بیاورید.",
        ],
        free: "رایگان",
    },
    Tongue {
        tag: "uk",
        names: [
            "Банк їжі",
            "Курси англійської мови",
            "Консультації з питань житла",
            "Юридична допомога",
            "Громадський центр",
        ],
        sentences: [
            "Допомога безкоштовна та конфіденційна.",
            "Будь ласка, зателефонуйте, щоб записатися.",
            "Запрошуємо всіх, попередній запис не потрібен.",
            "За потреби ми запросимо перекладача.",
            "Візьміть із собою документи та листи про вашу ситуацію.",
        ],
        free: "Безкоштовно",
    },
    Tongue {
        tag: "es",
        names: [
            "Banco de alimentos",
            "Clases de inglés",
            "Asesoramiento sobre vivienda",
            "Asesoría legal",
            "Centro comunitario",
        ],
        sentences: [
            "El servicio es gratuito y confidencial.",
            "Llame por teléfono para pedir una cita.",
            "Todas las personas son bienvenidas; no es necesario reservar.",
            "Ofrecemos intérpretes si los necesita.",
            "Traiga un comprobante de domicilio y sus documentos.",
        ],
        free: "Gratis",
    },
    Tongue {
        tag: "fr",
        names: ["Banque alimentaire", "Cours d'anglais", "Conseil en logement", "Aide juridique", "Centre social"],
        sentences: [
            "Le service est gratuit et confidentiel.",
            "Veuillez téléphoner pour prendre rendez-vous.",
            "Ouvert à toutes et à tous, sans inscription.",
            "Un interprète peut être présent sur demande.",
            "Apportez un justificatif de domicile et vos documents.",
        ],
        free: "Gratuit",
    },
    Tongue {
        tag: "pl",
        names: [
            "Bank żywności",
            "Kursy języka angielskiego",
            "Porady mieszkaniowe",
            "Porady prawne",
            "Centrum społeczne",
        ],
        sentences: [
            "Pomoc jest bezpłatna i poufna.",
            "Prosimy o telefon w celu umówienia wizyty.",
            "Zapraszamy wszystkich, rezerwacja nie jest konieczna.",
            "Na życzenie zapewniamy tłumacza.",
            "Prosimy przynieść potwierdzenie adresu i dokumenty.",
        ],
        free: "Bezpłatnie",
    },
    Tongue {
        tag: "tr",
        names: ["Gıda bankası", "İngilizce kursları", "Konut danışmanlığı", "Hukuki danışmanlık", "Toplum merkezi"],
        sentences: [
            "Hizmet ücretsiz ve gizlidir.",
            "Randevu almak için lütfen bizi arayın.",
            "Herkes gelebilir, rezervasyon gerekmez.",
            "İsterseniz tercüman ayarlanabilir.",
            "Adresinizi gösteren bir belge ve kimliğinizi getirin.",
        ],
        free: "Ücretsiz",
    },
    Tongue {
        tag: "de",
        names: ["Tafel", "Englischkurse", "Wohnungsberatung", "Rechtsberatung", "Nachbarschaftszentrum"],
        sentences: [
            "Die Beratung ist kostenlos und vertraulich.",
            "Bitte rufen Sie an und vereinbaren Sie einen Termin.",
            "Alle sind willkommen, eine Anmeldung ist nicht nötig.",
            "Auf Wunsch ist eine Übersetzung möglich.",
            "Bitte bringen Sie einen Nachweis Ihrer Adresse mit.",
        ],
        free: "Kostenlos",
    },
    Tongue {
        tag: "so",
        names: ["Bangiga cuntada", "Fasallada Ingiriisiga", "Talo guriyeyn", "Talo sharci", "Xarunta bulshada"],
        sentences: [
            "Adeeggu waa bilaash oo waa qarsoodi.",
            "Fadlan soo wac si aad ballan u qabsato.",
            "Qof walba waa la soo dhaweynayaa.",
            "Turjubaan waa la heli karaa haddii aad codsato.",
            "Keen caddayn cinwaan iyo warqadahaaga.",
        ],
        free: "Bilaash",
    },
];
