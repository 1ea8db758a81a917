"""The enumerations of OpenRTB 2.6 and Native 1.2: AdCOM 1.0 lists, and the values that the two state in place.

The rule: names for the code that compares, never a limit on what is read. Fields are typed as int, because a value that
is unknown, or that an exchange defined for itself (500 and greater), is to be tolerated (2.6 §2.6). The module is one
table, hence its length.
"""

from enum import IntEnum


class AgentType(IntEnum):
    """User agent types an ID is from: ``UID.atype``."""

    BROWSER_OR_DEVICE = 1
    IN_APP = 2
    PERSON = 3


class ApiFramework(IntEnum):
    """API frameworks of a placement or markup: ``api``, ``apis``."""

    VPAID_1 = 1
    VPAID_2 = 2
    MRAID_1 = 3
    ORMMA = 4
    MRAID_2 = 5
    MRAID_3 = 6
    OMID_1 = 7
    SIMID_1_0 = 8
    SIMID_1_1 = 9


class AuctionType(IntEnum):
    """``BidRequest.at``; the default is second price plus."""

    FIRST_PRICE = 1
    SECOND_PRICE_PLUS = 2


class AutoRefreshTrigger(IntEnum):
    """``RefSettings.reftype``."""

    UNKNOWN = 0
    USER_ACTION = 1
    EVENT = 2
    TIME = 3


class BannerAdType(IntEnum):
    """``Banner.btype``."""

    XHTML_TEXT = 1
    XHTML_BANNER = 2
    JAVASCRIPT = 3
    IFRAME = 4


class CategoryTaxonomy(IntEnum):
    """What the codes of ``cat``, ``bcat``, ``acat``, ``genres`` are from: ``cattax``, ``gtax``; the default is 1."""

    CONTENT_1_0 = 1
    CONTENT_2_0 = 2
    AD_PRODUCT_1_0 = 3
    AUDIENCE_1_1 = 4
    CONTENT_2_1 = 5
    CONTENT_2_2 = 6
    CONTENT_3_0 = 7
    AD_PRODUCT_2_0 = 8
    CONTENT_3_1 = 9


class CompanionType(IntEnum):
    """``companiontype``."""

    STATIC = 1
    HTML = 2
    IFRAME = 3


class ConnectionType(IntEnum):
    """``Device.connectiontype``."""

    ETHERNET = 1
    WIFI = 2
    CELLULAR_UNKNOWN = 3
    CELLULAR_2G = 4
    CELLULAR_3G = 5
    CELLULAR_4G = 6
    CELLULAR_5G = 7


class ContentContext(IntEnum):
    """``Content.context``."""

    VIDEO = 1
    GAME = 2
    MUSIC = 3
    APPLICATION = 4
    TEXT = 5
    OTHER = 6
    UNKNOWN = 7


class CreativeAttribute(IntEnum):
    """``battr``, ``Bid.attr``."""

    AUDIO_AUTOPLAY = 1
    AUDIO_USER_INITIATED = 2
    EXPANDABLE_AUTOMATIC = 3
    EXPANDABLE_ON_CLICK = 4
    EXPANDABLE_ON_ROLLOVER = 5
    IN_BANNER_VIDEO_AUTOPLAY = 6
    IN_BANNER_VIDEO_USER_INITIATED = 7
    POP = 8
    PROVOCATIVE = 9
    FLASHING = 10
    SURVEY = 11
    TEXT_ONLY = 12
    USER_INTERACTIVE = 13
    DIALOG_OR_ALERT = 14
    AUDIO_ON_OFF_BUTTON = 15
    SKIP_BUTTON = 16
    ADOBE_FLASH = 17
    RESPONSIVE = 18
    QR_CODE = 19
    ALPHA_TRANSPARENCY = 20
    STATIC = 21
    LIMITED_MOTION = 22
    FULL_MOTION = 23


class DealAuctionType(IntEnum):
    """``Deal.at``; absent means as ``BidRequest.at``."""

    FIRST_PRICE = 1
    SECOND_PRICE_PLUS = 2
    FIXED_PRICE = 3


class DeliveryMethod(IntEnum):
    """``delivery``."""

    STREAMING = 1
    PROGRESSIVE = 2
    DOWNLOAD = 3


class DeviceType(IntEnum):
    """``Device.devicetype``."""

    MOBILE_OR_TABLET = 1
    PERSONAL_COMPUTER = 2
    CONNECTED_TV = 3
    PHONE = 4
    TABLET = 5
    CONNECTED_DEVICE = 6
    SET_TOP_BOX = 7
    OUT_OF_HOME = 8


class DoohMultiplierSource(IntEnum):
    """Who measured ``Qty.multiplier``: ``Qty.sourcetype``."""

    UNKNOWN = 0
    MEASUREMENT_VENDOR = 1
    PUBLISHER = 2
    EXCHANGE = 3


class DoohVenueTaxonomy(IntEnum):
    """``DOOH.venuetypetax``; the default is OpenOOH 1.0."""

    ADCOM = 0
    OPENOOH_1_0 = 1
    DPAA = 2
    DMI_1_1 = 3
    OMA_2022 = 4
    OPENOOH_1_1 = 5


class ExpandableDirection(IntEnum):
    """``Banner.expdir``."""

    LEFT = 1
    RIGHT = 2
    UP = 3
    DOWN = 4
    FULL_SCREEN = 5
    RESIZE = 6


class FeedType(IntEnum):
    """``Audio.feed``."""

    MUSIC_STREAM = 1
    BROADCAST = 2
    PODCAST = 3
    CATCH_UP_RADIO = 4
    WEB_RADIO = 5
    VIDEO_GAME = 6
    TEXT_TO_SPEECH = 7


class GppSection(IntEnum):
    """Sections of the Global Privacy Platform string: ``Regs.gpp_sid``."""

    TCF_EU_V1 = 1
    TCF_EU_V2 = 2
    HEADER = 3
    SIGNAL_INTEGRITY = 4
    TCF_CANADA_V1 = 5
    USP_V1 = 6
    US_NATIONAL = 7
    US_CALIFORNIA = 8
    US_VIRGINIA = 9
    US_COLORADO = 10
    US_UTAH = 11
    US_CONNECTICUT = 12
    US_FLORIDA = 13
    US_MONTANA = 14
    US_OREGON = 15
    US_TEXAS = 16
    US_DELAWARE = 17
    US_IOWA = 18
    US_NEBRASKA = 19
    US_NEW_HAMPSHIRE = 20
    US_NEW_JERSEY = 21
    US_TENNESSEE = 22
    US_MINNESOTA = 23
    US_MARYLAND = 24
    US_INDIANA = 25
    US_KENTUCKY = 26
    US_RHODE_ISLAND = 27


class IdMatchMethod(IntEnum):
    """``EID.mm``."""

    UNKNOWN = 0
    NO_MATCH = 1
    COOKIE_SYNC = 2
    AUTHENTICATED = 3
    OBSERVED = 4
    INFERENCE = 5


class IpLocationService(IntEnum):
    """``Geo.ipservice``."""

    IP2LOCATION = 1
    NEUSTAR = 2
    MAXMIND = 3
    NETACUITY = 4
    FIFTY_ONE_DEGREES_HIGH = 511
    FIFTY_ONE_DEGREES_MEDIUM = 512


class LinearityMode(IntEnum):
    """``Video.linearity``."""

    LINEAR = 1
    NON_LINEAR = 2


class LivestreamMode(IntEnum):
    """``Content.livestream``."""

    UNSCHEDULED = 0
    SCHEDULED = 1


class LocationType(IntEnum):
    """``Geo.type``."""

    GPS = 1
    IP_ADDRESS = 2
    USER_PROVIDED = 3


class LossReason(IntEnum):
    """``${AUCTION_LOSS}`` of a loss notice (2.6 §4.4)."""

    BID_WON = 0
    INTERNAL_ERROR = 1
    IMPRESSION_EXPIRED = 2
    INVALID_BID_RESPONSE = 3
    INVALID_DEAL_ID = 4
    INVALID_AUCTION_ID = 5
    INVALID_ADVERTISER_DOMAIN = 6
    MISSING_MARKUP = 7
    MISSING_CREATIVE_ID = 8
    MISSING_PRICE = 9
    MISSING_CREATIVE_APPROVAL_DATA = 10
    BELOW_FLOOR = 100
    BELOW_DEAL_FLOOR = 101
    LOST_TO_HIGHER_BID = 102
    LOST_TO_DEAL = 103
    SEAT_BLOCKED = 104
    CREATIVE_FILTERED = 200
    CREATIVE_PENDING = 201
    CREATIVE_DISAPPROVED = 202
    CREATIVE_SIZE = 203
    CREATIVE_FORMAT = 204
    ADVERTISER_EXCLUSION = 205
    APP_STORE_ID_EXCLUSION = 206
    CREATIVE_NOT_SECURE = 207
    LANGUAGE_EXCLUSION = 208
    CATEGORY_EXCLUSION = 209
    CREATIVE_ATTRIBUTE_EXCLUSION = 210
    AD_TYPE_EXCLUSION = 211
    ANIMATION_TOO_LONG = 212
    NOT_ALLOWED_IN_DEAL = 213
    INVALID_SKADNETWORK = 214
    APP_BUNDLE_EXCLUSION = 215


class MarkupType(IntEnum):
    """``Bid.mtype``."""

    BANNER = 1
    VIDEO = 2
    AUDIO = 3
    NATIVE = 4


class MediaRating(IntEnum):
    """``qagmediarating``."""

    ALL_AUDIENCES = 1
    OVER_12 = 2
    MATURE = 3


class NoBidReason(IntEnum):
    """``BidResponse.nbr``."""

    UNKNOWN_ERROR = 0
    TECHNICAL_ERROR = 1
    INVALID_REQUEST = 2
    KNOWN_WEB_CRAWLER = 3
    SUSPECTED_NON_HUMAN = 4
    CLOUD_OR_PROXY_IP = 5
    UNSUPPORTED_DEVICE = 6
    BLOCKED_PUBLISHER_OR_SITE = 7
    UNMATCHED_USER = 8
    DAILY_USER_CAP_MET = 9
    DAILY_DOMAIN_CAP_MET = 10
    ADS_TXT_UNAVAILABLE = 11
    ADS_TXT_VIOLATION = 12
    ADS_CERT_UNAVAILABLE = 13
    ADS_CERT_VIOLATION = 14
    INSUFFICIENT_AUCTION_TIME = 15
    INCOMPLETE_SUPPLY_CHAIN = 16
    BLOCKED_SUPPLY_CHAIN_NODE = 17


class PlacementPosition(IntEnum):
    """``pos``."""

    UNKNOWN = 0
    ABOVE_THE_FOLD = 1
    LOCKED = 2
    BELOW_THE_FOLD = 3
    HEADER = 4
    FOOTER = 5
    SIDEBAR = 6
    FULLSCREEN = 7
    PARTIAL_SCREEN = 8
    TOP_LEFT = 9
    TOP_RIGHT = 10
    FRAME = 11
    DOUBLE_BOX = 12
    DOUBLE_BOX_WITH_BACKGROUND = 13
    BOTTOM_LEFT = 14
    BOTTOM_RIGHT = 15
    L_SHAPE = 16
    REVERSED_L_SHAPE = 17


class PlaybackCessationMode(IntEnum):
    """``Video.playbackend``."""

    COMPLETION = 1
    LEAVING_VIEWPORT = 2
    FLOATS_UNTIL_COMPLETION = 3


class PlaybackMethod(IntEnum):
    """``Video.playbackmethod``."""

    AUTOPLAY_SOUND_ON = 1
    AUTOPLAY_SOUND_OFF = 2
    CLICK_SOUND_ON = 3
    MOUSE_OVER_SOUND_ON = 4
    VIEWPORT_SOUND_ON = 5
    VIEWPORT_SOUND_OFF = 6
    CONTINUOUS = 7
    PAUSE_SOUND_ON = 8
    PAUSE_SOUND_OFF = 9
    IDLE_SOUND_ON = 10
    IDLE_SOUND_OFF = 11


class PodDeduplication(IntEnum):
    """``Video.poddedupe``."""

    ADVERTISER_DOMAIN = 1
    CONTENT_TAXONOMY = 2
    CREATIVE_ID = 3
    MEDIA_FILE_URL = 4
    NONE = 5


class PodSequence(IntEnum):
    """``podseq``."""

    LAST = -1
    ANY = 0
    FIRST = 1


class ProductionQuality(IntEnum):
    """``Content.prodq``."""

    UNKNOWN = 0
    PROFESSIONAL = 1
    PROSUMER = 2
    USER_GENERATED = 3


class RealtimeMode(IntEnum):
    """``Content.realtime``."""

    NOT_REAL_TIME = 0
    REAL_TIME = 1


class SlotPosition(IntEnum):
    """``slotinpod``."""

    LAST = -1
    ANY = 0
    FIRST = 1
    FIRST_OR_LAST = 2


class SsaiMode(IntEnum):
    """Server-side ad insertion: ``Imp.ssai``."""

    UNKNOWN = 0
    CLIENT_SIDE = 1
    STITCHED_CLIENT_TRACKED = 2
    SERVER_SIDE = 3


class StartDelay(IntEnum):
    """``startdelay``; a value above 0 is a mid-roll, and its start in seconds."""

    PRE_ROLL = 0
    MID_ROLL = -1
    POST_ROLL = -2


class UserAgentSource(IntEnum):
    """``UserAgent.source``."""

    UNKNOWN = 0
    CLIENT_HINTS_LOW_ENTROPY = 1
    CLIENT_HINTS_HIGH_ENTROPY = 2
    USER_AGENT_HEADER = 3


class VideoPlacement(IntEnum):
    """``Video.placement``, deprecated in favour of ``plcmt``."""

    IN_STREAM = 1
    IN_BANNER = 2
    IN_ARTICLE = 3
    IN_FEED = 4
    INTERSTITIAL = 5


class VideoPlcmt(IntEnum):
    """``Video.plcmt``."""

    INSTREAM = 1
    ACCOMPANYING_CONTENT = 2
    INTERSTITIAL = 3
    STANDALONE = 4
    PAUSE = 5
    SCREENSAVER = 6
    OVERLAY = 7
    SQUEEZEBACK = 8
    IN_SCENE = 9


class VideoProtocol(IntEnum):
    """``protocols``, ``Bid.protocol``."""

    VAST_1 = 1
    VAST_2 = 2
    VAST_3 = 3
    VAST_1_WRAPPER = 4
    VAST_2_WRAPPER = 5
    VAST_3_WRAPPER = 6
    VAST_4_0 = 7
    VAST_4_0_WRAPPER = 8
    DAAST_1 = 9
    DAAST_1_WRAPPER = 10
    VAST_4_1 = 11
    VAST_4_1_WRAPPER = 12
    VAST_4_2 = 13
    VAST_4_2_WRAPPER = 14
    VAST_4_3 = 15
    VAST_4_3_WRAPPER = 16


class VolumeNormalization(IntEnum):
    """``Audio.nvol``."""

    NONE = 0
    AVERAGE = 1
    PEAK = 2
    LOUDNESS = 3
    CUSTOM = 4


class NativeContext(IntEnum):
    """Native 1.2 §7.1: ``NativeMarkupRequest.context``."""

    CONTENT = 1
    SOCIAL = 2
    PRODUCT = 3


class NativeContextSubtype(IntEnum):
    """Native 1.2 §7.2: ``NativeMarkupRequest.contextsubtype``."""

    GENERAL = 10
    ARTICLE = 11
    VIDEO = 12
    AUDIO = 13
    IMAGE = 14
    USER_GENERATED = 15
    SOCIAL = 20
    EMAIL = 21
    CHAT = 22
    SELLING = 30
    APP_STORE = 31
    PRODUCT_REVIEW = 32


class NativePlacement(IntEnum):
    """Native 1.2 §7.3: ``NativeMarkupRequest.plcmttype``."""

    IN_FEED = 1
    ATOMIC_UNIT = 2
    OUTSIDE_CORE_CONTENT = 3
    RECOMMENDATION_WIDGET = 4


class NativeDataAsset(IntEnum):
    """Native 1.2 §7.4: ``DataRequest.type``."""

    SPONSORED = 1
    DESC = 2
    RATING = 3
    LIKES = 4
    DOWNLOADS = 5
    PRICE = 6
    SALE_PRICE = 7
    PHONE = 8
    ADDRESS = 9
    DESC2 = 10
    DISPLAY_URL = 11
    CTA_TEXT = 12


class NativeImageAsset(IntEnum):
    """Native 1.2 §7.5: ``ImageRequest.type``."""

    ICON = 1
    MAIN = 3


class NativeEvent(IntEnum):
    """Native 1.2 §7.6: ``event`` of an event tracker."""

    IMPRESSION = 1
    VIEWABLE_MRC50 = 2
    VIEWABLE_MRC100 = 3
    VIEWABLE_VIDEO50 = 4


class NativeTrackingMethod(IntEnum):
    """Native 1.2 §7.7: ``method`` of an event tracker."""

    IMAGE = 1
    JAVASCRIPT = 2
