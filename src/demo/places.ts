/** Airports and airlines of the demo's feed. */

export interface Airport {
  /** ICAO code. */
  readonly code: string;
  /** Degrees, north and east positive. */
  readonly lat: number;
  readonly lon: number;
}

const table: readonly (readonly [code: string, lat: number, lon: number])[] = [
  ["KATL", 33.6367, -84.4281],
  ["KLAX", 33.9425, -118.4081],
  ["KORD", 41.9786, -87.9048],
  ["KDFW", 32.8968, -97.038],
  ["KDEN", 39.8617, -104.6731],
  ["KJFK", 40.6398, -73.7789],
  ["KSFO", 37.619, -122.3749],
  ["KSEA", 47.449, -122.3093],
  ["KLAS", 36.0801, -115.1522],
  ["KMCO", 28.4294, -81.309],
  ["KMIA", 25.7932, -80.2906],
  ["KIAH", 29.9844, -95.3414],
  ["KBOS", 42.3643, -71.0052],
  ["KMSP", 44.882, -93.2218],
  ["KPHX", 33.4343, -112.0116],
  ["KIAD", 38.9445, -77.4558],
  ["PANC", 61.1744, -149.9964],
  ["PHNL", 21.3206, -157.9242],
  ["CYYZ", 43.6772, -79.6306],
  ["CYVR", 49.1939, -123.1844],
  ["CYUL", 45.4706, -73.7408],
  ["MMMX", 19.4363, -99.0721],
  ["SBGR", -23.4356, -46.4731],
  ["SAEZ", -34.8222, -58.5358],
  ["SCEL", -33.393, -70.7858],
  ["SKBO", 4.7016, -74.1469],
  ["SPJC", -12.0219, -77.1143],
  ["EGLL", 51.4706, -0.4619],
  ["EGCC", 53.3537, -2.275],
  ["EIDW", 53.4213, -6.2701],
  ["LFPG", 49.0128, 2.55],
  ["EHAM", 52.3086, 4.7639],
  ["EBBR", 50.9014, 4.4844],
  ["EDDF", 50.0333, 8.5706],
  ["EDDM", 48.3538, 11.7861],
  ["LSZH", 47.4647, 8.5492],
  ["LSGG", 46.2381, 6.1089],
  ["LOWW", 48.1103, 16.5697],
  ["LEMD", 40.4719, -3.5626],
  ["LEBL", 41.2971, 2.0785],
  ["LPPT", 38.7813, -9.1359],
  ["LIRF", 41.8003, 12.2389],
  ["LIMC", 45.6306, 8.7281],
  ["EKCH", 55.6179, 12.656],
  ["ENGM", 60.1939, 11.1004],
  ["ESSA", 59.6519, 17.9186],
  ["EFHK", 60.3172, 24.9633],
  ["EPWA", 52.1657, 20.9671],
  ["LGAV", 37.9364, 23.9445],
  ["LTFM", 41.2753, 28.7519],
  ["OMDB", 25.2528, 55.3644],
  ["OTHH", 25.2731, 51.6081],
  ["OERK", 24.9576, 46.6988],
  ["HECA", 30.1219, 31.4056],
  ["HAAB", 8.9779, 38.7993],
  ["FAOR", -26.1392, 28.246],
  ["DNMM", 6.5774, 3.3212],
  ["VIDP", 28.5665, 77.1031],
  ["VABB", 19.0887, 72.8679],
  ["VTBS", 13.6811, 100.7472],
  ["WSSS", 1.3502, 103.9944],
  ["WMKK", 2.7456, 101.7099],
  ["VHHH", 22.3089, 113.9146],
  ["ZBAA", 40.0801, 116.5846],
  ["ZSPD", 31.1434, 121.8052],
  ["RKSI", 37.4691, 126.4505],
  ["RJTT", 35.5523, 139.7797],
  ["RPLL", 14.5086, 121.0194],
  ["YSSY", -33.9461, 151.1772],
  ["YMML", -37.6733, 144.8433],
  ["NZAA", -37.0081, 174.7917],
];

export const airports: readonly Airport[] = table.map(([code, lat, lon]) => ({ code, lat, lon }));

/** Three-letter designators, which callsigns begin with. */
export const airlines: readonly string[] = [
  ..."AAL ACA AEE AFL AFR AIC AMX ANA ASA AUA AZU BAW BEL CCA CES CPA CSN DAL DLH EIN".split(" "),
  ..."ELY ETD ETH EZY FDX FIN IBE ITY JAL JBU KAL KLM LAN LOT MAS NAX NKS PAL QFA QTR".split(" "),
  ..."RAM RYR SAA SAS SIA SVA SWA SWR TAM TAP THA THY TOM UAE UAL UPS VIR VLG WJA WZZ".split(" "),
];
